"""What `make lint` looks for must be found: a planted key and planted insecure code make it fail."""

from __future__ import annotations

import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCAN = ROOT / ".ci" / "scan-secrets"


def invent(letters: str, length: int, number: int = 5) -> str:
    """A key that nobody has, made here so that it stands in no file."""
    return "".join(random.Random(number).choices(letters, k=length))


PROVIDERS_KEY = invent(string.ascii_letters + string.digits, 32)
AWS_KEY = "AKIA" + invent(string.ascii_uppercase + string.digits, 16)


def scan(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCAN, path], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("client.py", f'client = PolygonClient(url, "{PROVIDERS_KEY}")\n'),
        ("settings.py", f'KEY = "{PROVIDERS_KEY}"\n'),
        (".env", f"POLYGON_API_KEY={PROVIDERS_KEY}\n"),
        ("docker-compose.yaml", f"    POLYGON_API_KEY: {PROVIDERS_KEY}\n"),
        ("README.md", f"    POLYGON_API_KEY={PROVIDERS_KEY} make demo\n"),
        ("aws.py", f'session = Session("{AWS_KEY}")\n'),
        ("connection.py", 'address = "postgresql://airflow:' + "correct-horse@warehouse/dev" + '"\n'),
    ],
)
def test_a_planted_key_is_found(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    done = scan(path)

    assert done.returncode == 1, done.stdout
    assert name in done.stdout


def test_what_is_marked_or_a_placeholder_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "settings.py"
    path.write_text(
        f'KEY = "{PROVIDERS_KEY}"  # pragma: allowlist secret - an example\n'
        'client = boto3.client("s3", aws_secret_access_key="sandbox")\n'
    )

    assert scan(path).returncode == 0


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_no_file_of_the_project_holds_a_key() -> None:
    done = subprocess.run([SCAN], capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "code",
    ["import pickle\npickle.loads(body)\n", "eval(text)\n", "import subprocess\nsubprocess.run(x, shell=True)\n"],
)
def test_planted_insecure_code_is_found(tmp_path: Path, code: str) -> None:
    (tmp_path / "planted.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "bandit", "--quiet", "--configfile", ROOT / "pyproject.toml", "--recursive", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1, done.stdout + done.stderr


def test_both_scans_are_part_of_make_lint() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "lint"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "bandit --quiet --configfile pyproject.toml --recursive plugins dags include" in done.stdout
    assert ".ci/scan-secrets" in done.stdout.splitlines()
