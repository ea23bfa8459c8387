"""The configurations of the pages on scaling and on exporters are valid, and sharding leaves no target out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from asyncmetrics import CollectorRegistry, Gauge, start_http_server
from tests.patience import PROGRAM_SECONDS, wait_until
from tests.servers.processes import ROOT
from tests.servers.prometheus_server import Prometheus, run_prometheus
from tests.servers.requirements import find_program

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("scaling")]

DOCS = ROOT / "docs"
FILES = DOCS / "scaling"
CHECKED = [*sorted(FILES.glob("*.yml")), DOCS / "production/exporters.yml"]
OPTIONS = {"agent.yml": ["--agent"]}
WITHOUT_KUBERNETES = "file_sd_configs: [{files: [targets/*.json]}]\n    "  # which Debian's promtool leaves out
TARGETS = 20


def _read(name: str) -> dict:
    return yaml.safe_load((FILES / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.name)
def test_a_configuration_is_one_that_prometheus_takes(path, tmp_path):
    text = path.read_text(encoding="utf-8").replace("/run/secrets/", "")
    text = re.sub(r"kubernetes_sd_configs:.*?(?=relabel_configs:)", WITHOUT_KUBERNETES, text, flags=re.DOTALL)
    for name in re.findall(r"_file: (\S+)", text):
        (tmp_path / name).write_text("secret")
    (tmp_path / path.name).write_text(text)
    shutil.copy(DOCS / "rules/recording.yml", tmp_path)
    (tmp_path / "targets").mkdir()
    shutil.copy(FILES / "targets.json", tmp_path / "targets")
    command = [find_program("promtool"), "check", "config", *OPTIONS.get(path.name, []), str(tmp_path / path.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "WARNING" not in done.stdout


def test_pods_are_found_by_a_label_and_a_port_that_the_deployment_has():
    deployment = next(yaml.safe_load_all((DOCS / "production/kubernetes.yaml").read_text(encoding="utf-8")))
    template = deployment["spec"]["template"]
    (job,) = _read("kubernetes.yml")["scrape_configs"]
    (discovery,) = job["kubernetes_sd_configs"]
    label, _, value = discovery["selectors"][0]["label"].partition("=")
    assert template["metadata"]["labels"][label] == value
    ports = {port["name"] for container in template["spec"]["containers"] for port in container.get("ports", [])}
    assert job["relabel_configs"][0]["regex"] in ports


class _Servers(NamedTuple):
    shards: list[Prometheus]
    above: Prometheus


def _start_targets(stack: ExitStack) -> list[str]:
    """Serve the metrics of some workers, each with its number, and return their addresses."""
    addresses = []
    for number in range(TARGETS):
        registry = CollectorRegistry()
        Gauge("worker_number", "Number of the worker.", registry=registry).set(number)
        server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        addresses.append(f"127.0.0.1:{server.server_port}")
    return addresses


def _start_shard(stack: ExitStack, folder: Path, number: int, addresses: list[str]) -> Prometheus:
    """Run the server of one shard: the second one has the changes that the file names."""
    (folder / "targets").mkdir(parents=True)
    (folder / "targets/shop.json").write_text(json.dumps([{"targets": addresses}]))
    shutil.copy(DOCS / "rules/recording.yml", folder)
    text = (FILES / "shard.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(re.sub(r'^( +(?:shard|regex): )"0"$', rf'\1"{number}"', text, flags=re.MULTILINE))
    config["global"]["scrape_interval"] = "200ms"
    jobs = config.pop("scrape_configs")
    return stack.enter_context(run_prometheus(folder, jobs, "200ms", **config))


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[_Servers]:
    """Twenty targets, two servers that share them, and the server above both."""
    folder = tmp_path_factory.mktemp("shards")
    with ExitStack() as stack:
        addresses = _start_targets(stack)
        shards = [_start_shard(stack, folder / str(number), number, addresses) for number in range(2)]
        (job,) = _read("global.yml")["scrape_configs"]
        job["static_configs"] = [{"targets": [shard.base.removeprefix("http://") for shard in shards]}]
        (folder / "above").mkdir()
        yield _Servers(shards, stack.enter_context(run_prometheus(folder / "above", [job], "200ms")))


@pytest.mark.slow
def test_two_servers_share_the_targets_without_a_gap_and_without_an_overlap(servers):
    def read() -> list[set[int]]:
        rows = [shard.query("worker_number") for shard in servers.shards]
        return [{int(row["value"][1]) for row in found} for found in rows]

    def are_all_scraped(found: list[set[int]]) -> bool:
        return sum(map(len, found)) >= TARGETS

    found = wait_until(read, are_all_scraped)
    assert found[0] | found[1] == set(range(TARGETS))
    assert found[0] & found[1] == set()
    assert min(map(len, found)) > 0


@pytest.mark.slow
def test_the_server_above_has_the_targets_of_both_with_their_instances_and_shards(servers):
    rows = servers.above.wait_for('up{job="shop"}', lambda rows: len(rows) == TARGETS)
    expected = {
        (target["labels"]["instance"], str(number))
        for number, shard in enumerate(servers.shards)
        for target in shard.targets()
    }
    assert {(row["metric"]["instance"], row["metric"]["shard"]) for row in rows} == expected
