"""Builds the compiled leaves with the wheel. Where that is not possible there are none, and Python does their work."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


class CompiledLeaves(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root) / "pgcrypt_proxy" / "fast"
        spec = importlib.util.spec_from_file_location("build_native", folder / "build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        problem = module.compile_native()
        if problem is not None:
            self.app.display_warning(f"The compiled leaves could not be built; Python does their work.\n{problem}")
            return
        build_data["artifacts"].append("/pgcrypt_proxy/fast/*.so")
        build_data["pure_python"] = False
        # One file serves every version from 3.11 on: it keeps to Python's stable ABI.
        platform = next(name for name in platform_tags() if name.startswith(("linux", "macosx")))
        build_data["tag"] = f"cp311-abi3-{platform}"
