"""Which types a C++ file defines and forward-declares at namespace scope, read without a compiler.

It understands the C++ of this repository, formatted by clang-format, and no more than that.
"""
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What is no code: comments, strings and characters (not the ' of 1'000), preprocessor lines.
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<mark>\w*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"'
                      r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:\\\n|[^\n])*", re.DOTALL | re.MULTILINE)
TYPE = re.compile(r"(?:struct|class|union|enum(?:\s+(?:class|struct))?)\b\s*(?:alignas\s*\([^{;]*\)\s*|\[\[.*?\]\]\s*)*"
                  r"(?P<name>\w+)\s*(?P<rest>.*)", re.DOTALL)
ALIAS = re.compile(r"(?:using|concept)\s+(?P<name>\w+)\s*=", re.DOTALL)
NAMESPACE = re.compile(r"(?:inline\s+)?namespace\b\s*(?P<name>[\w:]*)")
MESSAGE = re.compile(r"^message (\w+)", re.MULTILINE)
PACKAGE = re.compile(r"^package ([\w.]+);", re.MULTILINE)


@dataclass(frozen=True)
class Name:
    name: str  # "convoy::detail::ToVariant"
    line: int
    kind: str  # "definition", "specialisation" or "declaration"
    hidden: bool  # in an anonymous namespace


def tracked(*patterns):
    """Tracked files that are still there."""
    files = subprocess.run(["git", "ls-files", "-z", *patterns], capture_output=True, check=True, text=True).stdout
    return [path for path in files.split("\0")[:-1] if Path(path).exists()]


def without_template(head):
    """`head` after its template<...> and requires clauses."""
    head = head.strip()
    while head.startswith("template"):
        depth = 0
        for i, character in enumerate(head):
            depth += (character == "<") - (character == ">" and head[i - 1] != "-")
            if character == ">" and depth == 0:
                break
        head = head[i + 1:].strip()
    if head.startswith("requires"):
        head = head[(re.search(r"\b(?:struct|class|using|concept)\b", head) or re.search("$", head)).start():]
    return head


def names_in_statement(head, ends_with):
    """(name, kind) of the type that a statement at namespace scope defines or declares, None where it is another."""
    head = without_template(head)
    alias = ALIAS.match(head)
    if alias:
        return alias["name"], "definition"
    match = TYPE.match(head)
    if not match:
        return None
    rest = match["rest"]
    if ends_with == ";":
        return (match["name"], "declaration") if not rest or rest.startswith(": ") else None
    if rest.startswith("<"):
        return match["name"], "specialisation"
    if not rest or rest.startswith("final") or re.match(r":(?!:)", rest):
        return match["name"], "definition"
    return None


def names_in(text):
    """Every type at namespace scope of a C++ file, in order."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])
    text = NOT_CODE.sub(blank, text)
    found = []
    scopes = []  # of each open brace the name of a namespace ("" for an anonymous one), or None
    start = 0
    for brace in re.finditer(r"[{};]", text):
        head, character = text[start:brace.start()], brace[0]
        start = brace.end()
        if character == "}":
            if scopes:
                scopes.pop()
            continue
        at_namespace_scope = None not in scopes
        namespace = NAMESPACE.search(head) if character == "{" and at_namespace_scope else None
        if namespace:
            scopes.append(namespace["name"])
            continue
        if at_namespace_scope:
            statement = names_in_statement(head, character)
            if statement:
                name, kind = statement
                line = text.count("\n", 0, brace.start() - len(head.lstrip())) + 1
                path = [scope for scope in scopes if scope] + [name]
                found.append(Name("::".join(path), line, kind, "" in scopes))
        if character == "{":
            scopes.append("" if at_namespace_scope and head.strip() == "extern" else None)
    return found


def names_in_proto(text):
    """The messages of a .proto file as the C++ types that are generated for them."""
    package = PACKAGE.search(text)[1].replace(".", "::")
    return [Name(f"{package}::{message[1]}", text.count("\n", 0, message.start()) + 1, "definition", False)
            for message in MESSAGE.finditer(text)]
