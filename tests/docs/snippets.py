"""What README.md and docs/ have one type: commands and Python, block by block."""
import re


def blocks(text):
    """[(line, lines)] of the indented and fenced blocks: the number of the first line, and the lines without indentation."""
    found, current, fence, before = [], None, None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                found.append(current)
                fence = current = None
            else:
                current[1].append(line[fence:])
        elif line.lstrip().startswith("```"):
            fence, current = len(line) - len(line.lstrip()), (number + 1, [])
        elif line.startswith("    ") and (current or not before.strip()):
            if current is None:
                current = (number, [])
                found.append(current)
            current[1].append(line[4:])
        elif line.strip() or current is None:
            current = None
        else:
            current[1].append("")
        before = line
    return [(number, lines) for number, lines in found if any(line.strip() for line in lines)]


def is_python(lines):
    return re.match(r"(import|from) \w+", lines[0]) is not None


def commands(number, lines):
    """[(line, command)] of a block of shell commands, without comments; one that goes on in the next line is one command."""
    found, joined = [], False
    for i, line in enumerate(lines):
        line = re.sub(r"(^|\s+)# .*", "", line.rstrip())
        goes_on = line.endswith("\\")
        text = line.rstrip("\\").strip()
        if joined or (found and line.startswith(" ") and text):
            found[-1] = (found[-1][0], f"{found[-1][1]} {text}")
        elif text:
            found.append((number + i, text))
        joined = goes_on
    return found


def inline_commands(text):
    """`convoy ...` within sentences and tables."""
    return re.findall(r"`(convoy [^`]+)`", text)


def without_optional(command):
    """A synopsis without its [...], and the options in these."""
    options = set()
    while match := re.search(r"\s*\[(?!\d)[^\[\]]*\]", command):
        if command[match.start() - 1] == "=":  # a list, not a synopsis
            break
        options.update(re.findall(r"--[a-z-]+", match[0]))
        command = command[:match.start()] + command[match.end():]
    return command, options
