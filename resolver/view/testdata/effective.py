"""Reads settings as fromager does: documents as JSON lines on standard input, what is effective for one version as JSON lines out."""
import json, os, pathlib, sys

from fromager.packagesettings import PackageSettings, Settings, SettingsFile
from packaging.version import Version

for line in sys.stdin:
    doc = json.loads(line)
    try:
        ps = PackageSettings.from_string("foo", doc["yaml"])
        settings = Settings(settings=SettingsFile(), package_settings=[ps], variant="cpu", patches_dir=pathlib.Path("/nowhere"), max_jobs=None)
        pbi = settings.package_build_info("foo")
        env = pbi.get_extra_environ(template_env=dict(doc["environ"]), version=Version(doc["version"]))
        for name in ("MAKEFLAGS", "CMAKE_BUILD_PARALLEL_LEVEL", "MAX_JOBS"):
            env.pop(name)
        out = {"env": env, "config_settings": pbi.config_settings, "build_dir": str(ps.build_dir or ""), "pre_built": pbi.pre_built,
               "url": pbi.download_source_url(version=Version(doc["version"])) or "",
               "filename": pbi.download_source_destination_filename(version=Version(doc["version"])) or "",
               "submodules": pbi.git_options.submodule_paths or (["."] if pbi.git_options.submodules else []),
               "tag": len(pbi.get_changelog(Version(doc["version"]))),
               "update": sorted(str(r) for r in ps.project_override.update_build_requires)}
    except Exception as err:  # whatever it is, such a document is refused
        out = {"error": f"{type(err).__name__}: {err}"}
    print(json.dumps(out), flush=True)
