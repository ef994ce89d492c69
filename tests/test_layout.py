"""What holds for the project as a whole."""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

PACKAGES = ("router", "classifier", "policies", "metrics")
ROOT = Path(__file__).parent.parent


def test_no_other_distribution_ships_our_package_names() -> None:
    owners = metadata.packages_distributions()
    assert all(set(owners.get(name, ["setpoint"])) == {"setpoint"} for name in PACKAGES)


def test_importing_the_request_path_loads_neither_litellm_nor_sklearn() -> None:
    code = "import router.app, router.serving, sys; print([m for m in ('litellm', 'sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_lock_for_plots_holds_what_the_extra_asks_for() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["plots"]
    asked = (ROOT / "requirements" / "plots.in").read_text("utf-8").splitlines()
    assert [line for line in asked if not line.startswith("#")] == extra
    plots, dev = ((ROOT / "requirements" / name).read_text("utf-8") for name in ("plots.txt", "dev.txt"))
    assert "matplotlib==" in plots
    assert set(plots.splitlines()) <= set(dev.splitlines())


def test_the_wheel_runs_from_another_folder(tmp_path: Path) -> None:
    """Built and unpacked apart, with the library, the artefact and the overlay inside."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True)
    wheel = next(tmp_path.glob("setpoint-*.whl"))
    code = (
        f"import sys; sys.path.insert(0, {str(wheel.with_suffix('.d'))!r})\n"
        "import router; assert router.__file__.startswith(sys.path[0]), router.__file__\n"
        "from router.cli import main; main(['explain', 'Write a haiku', '--json'])"
    )
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(wheel.with_suffix(".d"))], check=True)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert '"task": "creative_writing"' in said.stdout, said.stderr
