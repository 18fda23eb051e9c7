"""Finds fromager's override plugins in the environment of this interpreter, and the sources that they are made of.

Nothing that is installed there is imported or run: run with -I -S, so that no .pth file and no sitecustomize is. Which file a module is
follows from the rules of importlib's PathFinder, written out here, since its own search may call finders that plugins bring.

Prints JSON: {"problems": [text], "plugins": [{"name", "entry_point", "distribution", "paths"}], "files": {path: base64}}, where a path is
the module's below the folder that it is imported from, however it is installed.
"""
import ast
import base64
import csv
import importlib.machinery
import importlib.metadata
import json
import os
import re
import site
import sys

GROUP = "fromager.project_overrides"
MAX_FILE = 4 << 20
MAX_FILES = 10_000
MAX_TOTAL = 32 << 20

SUFFIXES = importlib.machinery.EXTENSION_SUFFIXES + importlib.machinery.SOURCE_SUFFIXES + importlib.machinery.BYTECODE_SUFFIXES

TRY = ast.Try, getattr(ast, "TryStar", ast.Try)


class Problem(Exception):
    """Why nothing can be said; names the thing and the next step."""


def read(file):
    size = os.path.getsize(file)
    if size > MAX_FILE:
        raise Problem(f"{file} has {size} bytes; a source of a plugin has at most {MAX_FILE}")
    with open(file, "rb") as f:
        return f.read(MAX_FILE)


def parse(file, text):
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        where = f", line {e.lineno}" if isinstance(e, SyntaxError) and e.lineno else ""
        version = "%d.%d" % sys.version_info[:2]
        raise Problem(f"{file}{where} is not a source that Python {version} can read ({getattr(e, 'msg', None) or e}): correct it") from None


def prefixes():
    """What site.py looks below; -S leaves out that this may be a virtual environment."""
    folder = os.path.dirname(os.path.abspath(sys.executable))
    for cfg in os.path.join(folder, "pyvenv.cfg"), os.path.join(os.path.dirname(folder), "pyvenv.cfg"):
        if os.path.isfile(cfg):
            sys.prefix = sys.exec_prefix = os.path.dirname(folder)
            with open(cfg, encoding="utf-8") as f:
                pairs = (line.partition("=") for line in f)
                said = {key.strip().lower(): value.strip().lower() for key, _, value in pairs}
            system = said.get("include-system-site-packages", "true") == "true"
            return [sys.prefix] + ([sys.base_prefix, sys.base_exec_prefix] if system else [])
    return [sys.prefix, sys.exec_prefix]


def pth(file):
    """The folders that a .pth file adds to sys.path, and the modules by whose import it would do more."""
    folders, modules = [], []
    for line in read(file).decode("utf-8-sig", "surrogateescape").splitlines():
        line = line.strip()
        if line.startswith(("import ", "import\t")):
            modules += re.findall(r"\w+", line)[1:2]
        elif line and not line.startswith("#"):
            folder = os.path.realpath(os.path.join(os.path.dirname(file), line))
            if os.path.isdir(folder):
                folders.append(folder)
    return folders, modules


def search_path(site_folders):
    path = list(sys.path)
    for folder in site_folders:
        path.append(folder)
        for name in sorted(os.listdir(folder)):
            if name.endswith(".pth") and not name.startswith(".") and os.path.isfile(os.path.join(folder, name)):
                path += pth(os.path.join(folder, name))[0]
    return list(dict.fromkeys(os.path.realpath(p) for p in path))


def mapped(file):
    """The modules that a finder written by setuptools (MAPPING, NAMESPACES) or with editables (map_module) would find, and where."""
    modules, namespaces = {}, {}
    for node in parse(file, read(file)).body:
        try:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                into = {"MAPPING": modules, "NAMESPACES": namespaces}.get(getattr(target, "id", None))
                if into is not None:
                    into.update(ast.literal_eval(node.value))
            elif isinstance(node, ast.Expr) and getattr(getattr(node.value, "func", None), "attr", None) == "map_module":
                name, path = (ast.literal_eval(a) for a in node.value.args)
                modules[name] = os.path.dirname(path) if os.path.basename(path) == "__init__.py" else os.path.splitext(path)[0]
        except (ValueError, TypeError):
            continue  # a module that is not found for it is named then
    return modules, namespaces


class Module:
    def __init__(self, name, file, folders, developed):
        self.name = name
        self.file = file  # None of a namespace package
        self.folders = folders  # [(folder, developed)] where submodules are looked for; None where it is no package
        self.developed = developed  # found where the distribution is developed, and so its own

    @property
    def path(self):
        inner = "/__init__" if self.folders is not None else ""
        return self.name.replace(".", "/") + inner + os.path.splitext(self.file)[1]

    @property
    def package(self):
        """What its relative imports are relative to."""
        return self.name if self.folders is not None else self.name.rpartition(".")[0]


class Distribution:
    """One that has entry points of the group, and which modules are its own."""

    def __init__(self, dist, site_folders, path):
        self.title = title(dist)
        self.found = {}  # by name, as find gives them
        self.files, roots = set(), set()
        self.modules, self.namespaces = {}, {}
        folder = os.path.realpath(dist.locate_file(""))
        record = dist.read_text("RECORD")
        if record is None and folder in site_folders:
            raise Problem(f"distribution {self.title} in {folder} has no RECORD, so which files are its own is not known: install it with pip")
        if record is None:  # its .egg-info lies where it is developed
            roots.add(folder)
        for row in csv.reader((record or "").splitlines()):
            file = os.path.normpath(os.path.join(folder, row[0])) if row else ""
            self.files.add(file)
            if file.endswith(".pth") and os.path.dirname(file) == folder and os.path.isfile(file):
                folders, finders = pth(file)
                roots.update(folders)
                for finder in (os.path.join(folder, name + ".py") for name in finders):
                    if os.path.isfile(finder):
                        modules, namespaces = mapped(finder)
                        self.modules.update(modules)
                        self.namespaces.update(namespaces)
        self.path = [(p, p in roots) for p in path]

    def find(self, name):
        """The module of that full name, None where there is none."""
        if name not in self.found:
            parent, _, last = name.rpartition(".")
            above = self.find(parent) if parent else None
            folders = self.path if not parent else above and above.folders
            module = None
            if name not in sys.builtin_module_names:
                module = self.look(name, last, folders or [])
                if module is None and name in self.modules:
                    place = self.modules[name]
                    module = self.look(name, os.path.basename(place), [(os.path.dirname(place), True)])
                if module is None and (name in self.namespaces or any(m.startswith(name + ".") for m in self.modules)):
                    module = Module(name, None, [(f, True) for f in self.namespaces.get(name, [])], True)
            self.found[name] = module
        return self.found[name]

    @staticmethod
    def look(name, last, folders):
        portions = []
        for folder, developed in folders:
            base = os.path.join(folder, last)
            for file, inside in [(os.path.join(base, "__init__"), [(base, developed)]), (base, None)]:
                for suffix in SUFFIXES:
                    if os.path.isfile(file + suffix):
                        return Module(name, file + suffix, inside, developed)
            if os.path.isdir(base):
                portions.append((base, developed))
        return Module(name, None, portions, any(d for _, d in portions)) if portions else None

    def owns(self, module):
        return module.file is not None and (module.developed or module.file in self.files)


class Sources:
    """The sources of one entry point's module and of all own modules that are imported from there on."""

    def __init__(self, dist, entry):
        self.dist = dist
        self.texts = {}  # by path
        self.todo = []  # modules whose imports are not followed yet
        if not self.count(entry):
            raise Problem(f"its module {entry} is not found: {self.advice()}")
        if not dist.owns(dist.find(entry)):
            raise Problem(f"its module {entry} is {dist.find(entry).file or 'a package without a source'} and not of {dist.title}, whose entry point "
                          "it is: declare the entry point in the distribution that has the module")
        while self.todo:
            self.follow(self.todo.pop())

    def advice(self):
        return f"install {self.dist.title} whole; if it is installed with --editable, install it without"

    def count(self, name):
        """Counts a module and the packages that it lies in, as far as they are own. False where one is not found."""
        parts = name.split(".")
        for i in range(len(parts)):
            module = self.dist.find(".".join(parts[:i + 1]))
            if module is None:
                return False
            if self.dist.owns(module) and module.path not in self.texts:
                if not module.file.endswith(tuple(importlib.machinery.SOURCE_SUFFIXES)):
                    raise Problem(f"module {module.name} of {self.dist.title} is there only compiled ({module.file}): install its source")
                self.texts[module.path] = read(module.file)
                if len(self.texts) > MAX_FILES or sum(map(len, self.texts.values())) > MAX_TOTAL:
                    raise Problem(f"it imports more than {MAX_FILES} modules, or {MAX_TOTAL} bytes")
                self.todo.append(module)
        return True

    def must_be_own(self, name):
        """Says that a module that is not found would lie in a package of the distribution."""
        while name := name.rpartition(".")[0]:
            module = self.dist.find(name)
            if module is not None:
                return self.dist.owns(module)
        return False

    def follow(self, module):
        tree = parse(module.file, self.texts[module.path])
        for name, names, line, guarded in imports(tree):
            said = f"{module.path}, line {line}"
            if name is None:
                self.count_all(module.name.partition(".")[0])
                continue
            relative = name.startswith(".")
            if relative:
                name = absolute(name, module.package)
                if name is None:
                    raise Problem(f"{said}: a relative import that leaves the top package: correct it")
            if not self.count(name):
                if not guarded and (relative or self.must_be_own(name)):
                    raise Problem(f"{said}: module {name} is not found: {self.advice()}")
                continue
            for n in names:
                for n in self.exported(name) if n == "*" else [n]:
                    self.count(f"{name}.{n}")  # a module, or what another one defines

    def count_all(self, top):
        """Counts everything in a package: one of its modules computes what it imports."""
        for folder, _ in self.dist.find(top).folders or []:
            for where, folders, files in os.walk(folder):
                folders[:] = sorted(f for f in folders if f.isidentifier() and f != "__pycache__")
                inner = [top] + [p for p in os.path.relpath(where, folder).split(os.sep) if p != "."]
                for file in sorted(files):
                    name, suffix = os.path.splitext(file)
                    if suffix == ".py" and name.isidentifier():
                        self.count(".".join(inner + ([] if name == "__init__" else [name])))

    def exported(self, name):
        """What `from name import *` may import: each string of what sets a package's __all__."""
        module = self.dist.find(name)
        if module.folders is None or not self.dist.owns(module):
            return
        for node in parse(module.file, self.texts[module.path]).body:
            if any(isinstance(n, ast.Name) and n.id == "__all__" for n in ast.walk(node)):
                for n in ast.walk(node):
                    if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value.isidentifier():
                        yield n.value


def absolute(name, package):
    level = len(name) - len(name.lstrip("."))
    parts = package.split(".") if package else []
    if level > len(parts):
        return None
    return ".".join(parts[:len(parts) - level + 1] + ([name[level:]] if name[level:] else []))


# What imports a module by a name that may be computed, or looks which modules there are.
LITERAL = {"import_module", "__import__"}
COMPUTED = LITERAL | {"iter_modules", "walk_packages"}


def imports(tree):
    """(name, names, line, guarded) of each import anywhere in a source: the module, with its leading dots; what is taken from it; and whether
    the source may go on without it. The name is None where it is computed."""
    todo = [(tree, False)]
    while todo:
        node, guarded = todo.pop()
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, [], line, guarded
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [a.name for a in node.names], line, guarded
            if any(a.asname and a.name in COMPUTED for a in node.names):
                yield None, [], line, guarded
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if called in COMPUTED:
                name = getattr(node.args[0], "value", None) if node.args else None
                plain = called in LITERAL and isinstance(name, str) and re.fullmatch(r"\w+(\.\w+)*", name)
                yield name if plain else None, [], line, True
        if isinstance(node, ast.If) and "TYPE_CHECKING" in (getattr(node.test, "id", None), getattr(node.test, "attr", None)):
            todo += [(child, guarded) for child in node.orelse]  # the rest is for type checkers
        elif isinstance(node, TRY) and node.handlers:
            todo += [(child, True) for child in node.body]
            todo += [(child, guarded) for child in node.handlers + node.orelse + node.finalbody]
        else:
            todo += [(child, guarded) for child in ast.iter_child_nodes(node)]


def title(dist):
    return f"{dist.metadata['Name']} {dist.version}"


def distributions(path):
    """(distribution, its entry points of the group) of those that have any. Of one name the first on the path counts, as for Python; where
    one folder has two, which of them counts is left to chance: a Problem in place of the entry points."""
    seen = set()
    for folder in path:
        here = {}
        for dist in importlib.metadata.distributions(path=[folder]):
            name = re.sub(r"[-_.]+", "-", dist.metadata["Name"] or "").lower()
            if name not in seen:
                here.setdefault(name, []).append((dist, [e for e in dist.entry_points if e.group == GROUP]))
        for name, found in here.items():
            if not any(ours for _, ours in found):
                continue
            if len(found) > 1:
                both = " and ".join(sorted(title(dist) for dist, _ in found))
                raise Problem(f"{folder} has a distribution more than once ({both}), and which one counts is left to chance: uninstall it until it is gone, "
                              "then install it")
            yield found[0]
        seen.update(here)


def find_plugins():
    site_folders = [os.path.realpath(f) for f in site.getsitepackages(prefixes()) if os.path.isdir(f)]
    path = search_path(site_folders)
    problems, plugins, files = [], {}, {}
    for dist, ours in distributions(path):
        dist = Distribution(dist, site_folders, path)
        for entry in ours:
            try:
                override = re.sub(r"[-_.]+", "_", entry.name).lower()
                if entry.name != override:
                    raise Problem(f"fromager never finds it by that name: write {override} in the entry point")
                if override in plugins:
                    raise Problem(f"{plugins[override]['distribution']} has one for that project, too, and which one counts is left to chance: uninstall one of the two")
                plugins[override] = {"name": override, "distribution": dist.title}
                form = re.fullmatch(r"(\w+(?:\.\w+)*)\s*(?::\s*(\w+(?:\.\w+)*))?\s*(?:\[.*\])?", entry.value)
                if form is None:
                    raise Problem(f"its value {entry.value!r} is not module or module:object")
                texts = Sources(dist, form[1]).texts
                files.update(texts)
                plugins[override].update(entry_point=":".join(filter(None, form.groups())), paths=sorted(texts))
            except Problem as e:
                problems.append(f"override plugin {entry.name} of {dist.title}: {e}")
    return problems, plugins, files


def main():
    try:
        problems, plugins, files = find_plugins()
    except Problem as e:
        problems, plugins, files = [str(e)], {}, {}
    if problems:
        plugins, files = {}, {}
    json.dump({
        "problems": sorted(problems),
        "plugins": [plugins[name] for name in sorted(plugins)],
        "files": {name: base64.b64encode(files[name]).decode() for name in sorted(files)},
    }, sys.stdout)


main()
