"""Builds the documentation's site from the repository's files: see mkdocs.yml.

The README is the start page, the model cards are pages, and each package of `tfnca` has a page of
its API. No text is stored twice, and every document also reads well in the repository. Documents
link to files of the repository; here those links become links between pages, or to the sources.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "automata",
    "engines",
    "data",
    "training",
    "tasks",
    "formats",
    "export",
    "measures",
    "placement",
    "defence",
    "zoo",
)
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "export/web/README.md": "playgrounds.md",
}
"""Documents outside docs/, and their pages in the site."""

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\]\([^)]*\))*)\]\(([^)\s]+)\)")
IMAGE = re.compile(r'(<img [^>]*src=")([^"]+)(")')
FENCE = re.compile(r"(^```.*?^```$)", flags=re.M | re.S)
VERDICTS = {"holds": "good", "holds in part": "part", "does not hold": "bad"}


def place(path):
    """The site's path of a file of the repository, or None if the site does not contain it."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    for folder, there in (("docs/", ""), ("saved_models/", "models/")):
        if path.startswith(folder):
            inside = path.removeprefix(folder)
            shown = Path(inside).suffix in (".md", ".png", ".webp", ".gif", ".ipynb")
            return there + inside if shown and (ROOT / path).is_file() else None
    return None


def origin(page):
    """The repository's path of a page's document."""
    return {there: path for path, there in ELSEWHERE.items()}.get(
        page,
        "saved_models/" + page.removeprefix("models/")
        if page.startswith("models/")
        else "docs/" + page,
    )


def target(link, page, config):
    """The site's address of a document's link, or None if there is none."""
    if re.match(r"[a-z]+:|#|/", link):
        return link
    link, _, anchor = link.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin(page)), link))
    there = place(path) or place(posixpath.join(path, "README.md"))
    if there is not None:
        relative = posixpath.relpath(there, posixpath.dirname(page) or ".")
        return f"{relative}#{anchor}" if anchor else relative
    if config.repo_url:
        return f"{config.repo_url.rstrip('/')}/blob/main/{path}"
    return None


def on_files(files, config):
    for path, there in ELSEWHERE.items():
        files.append(
            File.generated(config, there, content=(ROOT / path).read_text(encoding="utf-8"))
        )
    for path in sorted((ROOT / "saved_models").rglob("*")):
        there = place(str(path.relative_to(ROOT)))
        if there is not None and "saved_model" not in path.relative_to(ROOT / "saved_models").parts:
            content = (
                path.read_text(encoding="utf-8") if path.suffix == ".md" else path.read_bytes()
            )
            files.append(File.generated(config, there, content=content))
    names = "# API\n\nMost programs need only these names of `tfnca` itself.\n\n" + public_names()
    files.append(File.generated(config, "api/index.md", content=names))
    for package in PACKAGES:
        content = f"# tfnca.{package}\n\n::: tfnca.{package}\n"
        files.append(File.generated(config, f"api/{package}.md", content=content))
    return files


def public_names():
    """A line for each public name of `tfnca`, with where it is described."""
    source = (ROOT / "tfnca/__init__.py").read_text(encoding="utf-8")
    found = re.findall(r"^ *from (tfnca\.\S+) import ([^(\n]+|\([^)]*\))", source, flags=re.M)
    rows = ["| name | described in |", "|---|---|"]
    for module, imported in found:
        package = module.split(".")[1]
        for name in re.findall(r"\w+", imported):
            where = f"[{module}]({package}.md#{module}.{name})" if package in PACKAGES else module
            rows.append(f"| `{name}` | {where} |")
    return "\n".join(rows) + "\n"


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri
    if here.startswith("api/"):
        return markdown

    def relink(match):
        mark, text, link = match.groups()
        text = LINK.sub(relink, text) if "](" in text else text
        there = target(link, here, config)
        return text if there is None and not mark else f"{mark}[{text}]({there})"

    def reimage(match):
        return match[1] + (target(match[2], here, config) or match[2]) + match[3]

    parts = FENCE.split(re.sub(r"^---\n.*?\n---\n", "", markdown, flags=re.S))
    parts[::2] = [IMAGE.sub(reimage, LINK.sub(relink, part)) for part in parts[::2]]
    markdown = "".join(parts)
    if here == "claims.md":
        for words, colour in VERDICTS.items():
            badge = f'<span class="verdict {colour}">{words}</span>'
            markdown = markdown.replace(f"**{words}**:", badge)
    return markdown
