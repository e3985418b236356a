"""What every container of a task gets, whatever the task is."""

from sfp_server.server.worker import template
from sfp_server.server.worker.sandbox import Limits, Order
from sfp_server.server.worker.template import Template

CHOSEN = Template("acme", "registry/worker@sha256:" + "0" * 64, 1.5, "sfp-acme-sandbox")
ORDER = Order("0190-task", 3, b'{"canary": "tweet"}', Limits(1 << 30, 100, 60))


def test_it_has_no_power() -> None:
    made = template.container(CHOSEN, ORDER)
    host = made["HostConfig"]
    assert made["User"] == "10002:10002"
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not {"Binds", "Mounts", "VolumesFrom", "Devices", "CapAdd", "PidMode"} & host.keys()


def test_it_is_limited() -> None:
    host = template.container(CHOSEN, ORDER)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (1 << 30, 1 << 30, 1_500_000_000)
    assert host["PidsLimit"] == 100
    assert all("size=1073741824" in options and "nosuid,nodev" in options for options in host["Tmpfs"].values())


def test_nothing_of_the_task_is_in_it() -> None:
    assert "tweet" not in str(template.container(CHOSEN, ORDER))


def test_it_stands_outside_of_every_compose_project() -> None:
    labels = template.container(CHOSEN, ORDER)["Labels"]
    assert labels == {"sfp.tenant": "acme", "sfp.task": "0190-task", "sfp.lease": "3"}


def test_its_networks_keep_sandboxes_apart() -> None:
    for network in (template.network(CHOSEN), template.nowhere()):
        assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert template.nowhere()["Internal"] is True
