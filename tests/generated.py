"""Check that the committed code in services/hookline/v1 is what proto/ generates: run by `make check`."""

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMITTED = ROOT / "services" / "hookline" / "v1"


def main() -> int:
    programs = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as directory:
        outputs = [f"--{kind}_out={directory}" for kind in ("python", "grpc_python")]
        outputs += [f"--{kind}_out=quiet:{directory}" for kind in ("mypy", "mypy_grpc")]
        plugins = [
            f"--plugin=protoc-gen-{name}={programs / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")
        ]
        protos = sorted((ROOT / "proto" / "hookline" / "v1").glob("*.proto"))
        command = [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={ROOT / 'proto'}",
            *plugins,
            *outputs,
        ]
        subprocess.run([*command, *map(str, protos)], check=True)
        fresh = Path(directory) / "hookline" / "v1"
        names = {path.name for path in fresh.iterdir()} | {path.name for path in COMMITTED.glob("*_pb2*")}
        _, changed, missing = filecmp.cmpfiles(fresh, COMMITTED, sorted(names), shallow=False)
    if changed or missing:
        print(
            f"services/hookline/v1 is not what proto/ generates ({', '.join(changed + missing)}); run `make proto`"
        )
        return 1
    print(f"{len(names)} generated files are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
