"""Runs inside the sandbox, in a work folder of its own, before any stranger's code: compiles the modules of one wheel as they will lie in
the build environment. /build/out gets their __pycache__ folders, and in "folders" where these belong, a line each. The code is bound to
its source by hash (PEP 552), so Python ignores what doesn't fit; what doesn't compile is left out."""

import importlib.util
import marshal
import os
import sys
import zipfile

SITE = "/build/venv/lib/python%d.%d/site-packages/" % sys.version_info[:2]

folders = set()
os.mkdir("/build/out")
with zipfile.ZipFile(sys.argv[1]) as z:
    for name in z.namelist():
        if not name.endswith(".py") or os.path.normpath(name) != name or name.startswith(("/", "..")) or name.partition("/")[0].endswith(".data"):
            continue
        source = z.read(name)
        try:
            code = compile(source, SITE + name, "exec", dont_inherit=True)
        except Exception:
            continue
        cache = importlib.util.cache_from_source(name)
        folder = os.path.dirname(cache)
        if folder not in folders:
            folders.add(folder)
            os.makedirs("/build/out/" + folder)
        with open("/build/out/" + cache, "wb") as f:
            f.write(importlib.util.MAGIC_NUMBER + b"\3\0\0\0" + importlib.util.source_hash(source) + marshal.dumps(code))
with open("/build/out/folders", "w") as f:
    f.writelines(folder + "\n" for folder in sorted(folders) if "\n" not in folder)
