"""The files of the production guide do what its page says, on real servers where there are such servers."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from asyncmetrics.formats.reading.text import parse_prometheus
from tests.patience import PROGRAM_SECONDS, wait_until
from tests.servers.processes import ROOT, find_free_port, is_listening, run_server
from tests.servers.requirements import find_program, require_packages

DOCS = ROOT / "docs"
FILES = DOCS / "production"
PAGE = (DOCS / "production.md").read_text(encoding="utf-8")
TOKEN = "a token of the test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
(SERVERS,) = re.findall(r"^```sh\n(uvicorn.*?\n)```", PAGE, re.M | re.S)


def _read_yaml(name: str) -> list[dict]:
    return list(yaml.safe_load_all((FILES / name).read_text(encoding="utf-8")))


def _read_image_command() -> list[str]:
    (command,) = re.findall(r"^CMD (\[.*\])$", (FILES / "Dockerfile").read_text(encoding="utf-8"), re.M)
    return json.loads(command)


def _read_values(text: str, name: str) -> dict[str, float]:
    families = parse_prometheus(text)
    return {str(sample.labels): sample.value for family in families for sample in family.samples if sample.name == name}


@contextmanager
def _serve(command: list[str], place: Path, **environment: str) -> Iterator[str]:
    """Run a command of the page on a free port of the loopback interface, and yield its URL."""
    port = find_free_port()
    changed = [
        re.sub(r"^(127\.0\.0\.1:)?8000$", rf"\g<1>{port}", word).replace("0.0.0.0", "127.0.0.1") for word in command
    ]
    settings = {"XDG_RUNTIME_DIR": str(place), **environment}
    with run_server(changed, FILES, lambda: is_listening(port), **settings):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[str]:
    """Run the command of the image, with a token; yield its URL."""
    place = tmp_path_factory.mktemp("shop")
    (place / "token").write_text(f"{TOKEN}\n")
    with _serve(_read_image_command(), place, METRICS_TOKEN_FILE=str(place / "token")) as url:
        yield url


@pytest.mark.real
@pytest.mark.parametrize("line", SERVERS.splitlines(), ids=lambda line: line.split()[0])
def test_a_command_starts_two_workers_that_share_their_metrics(line, tmp_path):
    require_packages([line.split()[0], *(["uvicorn_worker"] if "uvicorn_worker" in line else [])])
    with _serve(shlex.split(line), tmp_path) as url:

        def has_two() -> bool:
            text = httpx.get(f"{url}/metrics").text
            return _read_values(text, "asyncmetrics_workers").get("{'state': 'live'}") == 2

        wait_until(has_two)
        for number in range(10):
            httpx.get(f"{url}/orders/{number}").raise_for_status()
        assert _read_values(httpx.get(f"{url}/metrics").text, "shop_orders_total") == {"{}": 10}


@pytest.mark.real
def test_a_second_server_exposes_what_the_workers_share(tmp_path):
    (block,) = re.findall(r"^```sh\nexport ASYNCMETRICS_DIR=\S+\n(.*?)\n```", PAGE, re.M | re.S)
    first, second = (line.removesuffix(" &").replace("10.0.0.5", "127.0.0.1").split() for line in block.splitlines())
    second[-1] = "8000"  # which `_serve` replaces
    settings = {"ASYNCMETRICS_DIR": str(tmp_path / "shared")}
    with _serve(first, tmp_path, **settings) as shop, _serve(second, tmp_path, **settings) as metrics:
        httpx.get(f"{shop}/orders/7").raise_for_status()
        assert _read_values(httpx.get(f"{metrics}/metrics").text, "shop_orders_total") == {"{}": 1}
        assert httpx.get(f"{metrics}/orders/7").text.startswith("# HELP")  # it has nothing else


def _list_containers() -> list[dict]:
    return _read_yaml("kubernetes.yaml")[0]["spec"]["template"]["spec"]["containers"]


@pytest.mark.real
@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_a_probe_of_kubernetes_succeeds(probe, shop):
    path = _list_containers()[0][probe]["httpGet"]["path"]
    wait_until(lambda: httpx.get(f"{shop}{path}").status_code == 200)


@pytest.mark.real
def test_what_kubernetes_scrapes_has_metrics_for_the_token_only(shop):
    (pod_monitor,) = _read_yaml("podmonitor.yaml")
    annotations = _read_yaml("kubernetes.yaml")[0]["spec"]["template"]["metadata"]["annotations"]
    paths = {pod_monitor["spec"]["podMetricsEndpoints"][0]["path"], annotations["prometheus.io/path"]}
    for path in paths:
        assert httpx.get(f"{shop}{path}").status_code == 401
        assert "asyncmetrics_workers" in httpx.get(f"{shop}{path}", headers=BEARER).text


def test_the_objects_of_kubernetes_find_each_other():
    deployment, service = _read_yaml("kubernetes.yaml")
    (pod_monitor,) = _read_yaml("podmonitor.yaml")
    template = deployment["spec"]["template"]
    (container,) = _list_containers()
    labels = template["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    probes = {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")}
    endpoints = {endpoint["port"] for endpoint in pod_monitor["spec"]["podMetricsEndpoints"]}
    targets = {port["targetPort"] for port in service["spec"]["ports"]}
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert pod_monitor["spec"]["selector"]["matchLabels"] == labels
    assert probes | endpoints | targets <= set(ports)
    assert template["metadata"]["annotations"]["prometheus.io/port"] in map(str, ports.values())
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in template["spec"]["volumes"]}


def test_a_container_is_killed_later_than_its_server_gives_up():
    command = _read_image_command()
    graceful = int(command[command.index("--timeout-graceful-shutdown") + 1])
    pod = _read_yaml("kubernetes.yaml")[0]["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    (compose,) = _read_yaml("compose.yaml")
    unit = (FILES / "shop.service").read_text(encoding="utf-8")
    assert pod["terminationGracePeriodSeconds"] > pause + graceful
    assert int(compose["services"]["shop"]["stop_grace_period"].removesuffix("s")) > graceful
    assert f"--timeout-graceful-shutdown {graceful}\n" in unit
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.M)[0]) > graceful


def test_compose_and_the_image_name_files_that_are_there():
    (compose,) = _read_yaml("compose.yaml")
    services, secrets = compose["services"], compose["secrets"]
    bound = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    image = (FILES / "Dockerfile").read_text(encoding="utf-8")
    copied = [path for path in re.findall(r"^COPY (\S+) ", image, re.M) if not path.startswith("dist/")]
    assert bound
    assert copied == ["shop.py"]
    assert [path for path in [*bound, *copied] if not (FILES / path).is_file()] == []
    assert {name for service in services.values() for name in service["secrets"]} == set(secrets)
    assert services["shop"]["environment"]["METRICS_TOKEN_FILE"] == f"/run/secrets/{next(iter(secrets))}"


@pytest.mark.real
def test_the_configuration_of_compose_is_one_that_prometheus_takes(tmp_path):
    text = (FILES / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "metrics_token").write_text("secret")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/", ""))
    command = [find_program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(text)["scrape_configs"][0]["static_configs"] == [{"targets": ["shop:8000"]}]


@pytest.mark.real
def test_the_unit_is_one_that_systemd_takes(tmp_path):
    program = find_program("systemd-analyze")
    text = (FILES / "shop.service").read_text(encoding="utf-8")
    unit = tmp_path / "shop.service"
    unit.write_text(text.replace("/srv/shop/.venv/bin/uvicorn", "/bin/true").replace("User=shop", "User=daemon"))
    command = [program, "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    about_others = re.compile(r"/lib/systemd/system/")  # such as carbon-cache.service of Debian
    assert [line for line in done.stderr.splitlines() if not about_others.match(line)] == []
    assert done.returncode == 0


@pytest.fixture(scope="module")
def proxy(shop, tmp_path_factory) -> Iterator[str]:
    """Run nginx with the configuration of the page in front of the shop; yield its URL."""
    program, folder, port = find_program("nginx"), tmp_path_factory.mktemp("nginx"), find_free_port()
    server = (FILES / "nginx.conf").read_text(encoding="utf-8")
    assert "listen 80;" in server
    server = server.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("http://127.0.0.1:8000/", f"{shop}/")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/pid;\nerror_log {folder}/errors;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}\n{server}\n}}\n"
    )
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        wait_until(lambda: is_listening(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.real
def test_nginx_passes_requests_on_and_the_route_has_no_prefix(proxy, shop):
    assert httpx.get(f"{proxy}/shop/orders/7").json() == {"order": 7}
    counts = _read_values(
        httpx.get(f"{shop}/metrics", headers=BEARER).text, "http_server_request_duration_seconds_count"
    )
    assert "{'method': 'GET', 'route': '/orders/{number}', 'status': '200'}" in counts


@pytest.mark.real
@pytest.mark.parametrize(
    "path",
    [
        "metrics",
        "metrics/",
        "metrics?name[]=x",
        "%6Detrics",
        "/metrics",
        "orders/../metrics",
        "./metrics",
        "metrics/live",
    ],
)
def test_nginx_hides_the_metrics_however_the_path_is_written(path, proxy):
    connection = httpx.Client(headers=BEARER)
    with (
        connection,
        connection.stream("GET", httpx.URL(f"{proxy}/").copy_with(raw_path=f"/shop/{path}".encode())) as found,
    ):
        assert found.status_code == 404
        assert "nginx" in found.read().decode()  # its own answer, not the application's
