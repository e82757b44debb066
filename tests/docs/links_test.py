#!/usr/bin/env python3
"""Every link from one page to another leads to a file and a heading that are there, and every page under docs/ can be reached.

usage: links_test.py CONVOY [unittest arguments]      CONVOY is not used
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "docs", "kernels", "packaging", "src", "tests")  # not build/, where other programs' pages lie
PAGES = sorted([ROOT / "README.md", *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])


def without_code(text):
    """The text without fenced blocks and `code`, which may look like links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))


def anchor(heading):
    """What GitHub makes of a heading: small letters, punctuation left out, blanks as dashes."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page):
    return {anchor(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)}


def targets(page):
    """[(link, file, anchor or "")] of the links within the repository."""
    found = []
    for link in links(page):
        if not re.match(r"[a-z]+:", link):
            path, _, heading = link.partition("#")
            found.append((link, (page.parent / path).resolve() if path else page, heading))
    return found


class Links(unittest.TestCase):
    def test_lead_somewhere(self):
        for page in PAGES:
            for link, file, heading in targets(page):
                with self.subTest(page=str(page.relative_to(ROOT)), link=link):
                    self.assertTrue(file.exists(), "there is no such file")
                    if heading:
                        self.assertIn(heading, anchors(file), "the page has no such heading")

    def test_every_page_is_reached(self):
        """From README.md, link by link."""
        reached, ahead = set(), [ROOT / "README.md"]
        while ahead:
            page = ahead.pop()
            if page not in reached:
                reached.add(page)
                ahead += [file for _, file, _ in targets(page) if file.suffix == ".md" and file.exists()]
        alone = [str(page.relative_to(ROOT)) for page in PAGES if ROOT / "docs" in page.parents and page not in reached]
        self.assertEqual(alone, [], "no page leads there")

    def test_glossary_is_in_order(self):
        rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
        terms = [row.replace("`", "").lower() for row in rows if row not in ("term", "---")]
        self.assertEqual(terms, sorted(terms))
        self.assertEqual(len(terms), len(set(terms)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.argv.pop(1)
    unittest.main()
