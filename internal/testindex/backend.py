"""A PEP 517 backend of the standard library alone; every generated "intree" sdist carries it beside its spec.json."""

import base64
import csv
import hashlib
import importlib
import io
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import time
import zipfile

HERE = pathlib.Path(__file__).parent
SPEC = json.loads((HERE / "spec.json").read_text())


def _run(hook, seen):
    """Does what the spec asks of one hook: its script, its sleep, its failure."""
    script = HERE / (hook + ".py")
    if script.exists():
        exec(compile(script.read_text(), str(script), "exec"), {"seen": seen, "os": os, "sys": sys})
    time.sleep(SPEC.get(hook + "_sleep", 0))
    if SPEC.get(hook + "_fail"):
        raise RuntimeError(SPEC[hook + "_fail"])


def get_requires_for_build_wheel(config_settings=None):
    _run("requires", {})
    return SPEC["dynamic"]


def _metadata(version, requires):
    lines = ["Metadata-Version: " + SPEC["metadata_version"], "Name: " + SPEC["name"], "Version: " + version]
    if SPEC["requires_python"]:
        lines.append("Requires-Python: " + SPEC["requires_python"])
    lines += ["Requires-Dist: " + r for r in requires]
    lines += ["Provides-Extra: " + e for e in SPEC["extras"]]
    return "\n".join(lines) + "\n\n"


if not SPEC["no_prepare"]:

    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        _run("prepare", {})
        info = SPEC["module"] + "-" + SPEC["version"] + ".dist-info"
        path = pathlib.Path(metadata_directory, info)
        path.mkdir()
        path.joinpath("METADATA").write_text(_metadata(SPEC["version"], SPEC["requires"]))
        return info


def _compile(seen):
    """Compiles the C file beside the module, by relative names and without debug lines so that the bytes are the same anywhere."""
    out = "_" + SPEC["module"] + (sysconfig.get_config_var("EXT_SUFFIX") or ".so")
    cc = os.environ.get("CC", "cc").split()
    subprocess.run(
        [*cc, "-shared", "-fPIC", "-O1", "-g0", "-I" + sysconfig.get_path("include"), "_" + SPEC["module"] + ".c", "-o", out],
        check=True,
    )
    return out


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    seen = {m: getattr(importlib.import_module(m), "MARKER", "") for m in SPEC["see"]}
    if config_settings:
        seen["config_settings"] = config_settings
    _run("build", seen)
    files = {}
    for path in sorted(pathlib.Path("wheel").rglob("*")):
        if path.is_file():
            files[path.relative_to("wheel").as_posix()] = path.read_bytes()
    module = SPEC["module"] + ".py"
    source = pathlib.Path(module).read_text()
    files[module] = (source + "SEEN = " + json.dumps(seen, sort_keys=True) + "\n").encode()
    tag = "py3-none-any"
    if SPEC["ext"]:
        name = _compile(seen)
        files[name] = pathlib.Path(name).read_bytes()
        python = "cp%d%d" % sys.version_info[:2]
        tag = "-".join([python, python, sysconfig.get_platform().replace("-", "_").replace(".", "_")])
    version = SPEC["wheel_version"] or SPEC["version"]
    info = SPEC["module"] + "-" + version + ".dist-info/"
    pure = "false" if SPEC["ext"] else "true"
    files[info + "METADATA"] = _metadata(version, SPEC["wheel_requires"]).encode()
    files[info + "WHEEL"] = ("Wheel-Version: 1.0\nGenerator: testindex\nRoot-Is-Purelib: %s\nTag: %s\n" % (pure, tag)).encode()
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for name, data in files.items():
        sha = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow([name, "sha256=" + sha, len(data)])
    rows.writerow([info + "RECORD", "", ""])
    files[info + "RECORD"] = record.getvalue().encode()
    filename = "-".join([SPEC["module"], version, tag]) + ".whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w") as z:
        for name, data in files.items():
            item = zipfile.ZipInfo(name)  # the date of a ZipInfo is 1980-01-01
            item.external_attr = 0o100644 << 16
            item.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(item, data)
    return filename
