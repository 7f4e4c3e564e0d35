"""What is wrong with a cluster file: by Ray's own schema, and what that lets pass."""

import difflib
import os
import re
from functools import cache
from typing import Any
from unittest import mock

import botocore.session
import jsonschema
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

# Of ray/autoscaler/_private: what the providers read, where the schema takes any word.
PROVIDER_KEYS = {
    "aws": {
        *("type", "region", "availability_zone", "cache_stopped_nodes", "use_internal_ips"),
        *("security_group", "cloudwatch", "disable_node_updaters"),
    },
    "local": {"type", "head_ip", "worker_ips", "external_head_ip", "coordinator_address"},
}
# What Ray itself puts into an instance's request, beside what EC2 takes.
OF_RAY = {"SubnetIds"}
START = ("head_start_ray_commands", "worker_start_ray_commands")


def problems(text: str) -> list[str]:
    """Every mistake found, in words; none for a file that is right."""
    config = yaml.safe_load(text)
    found = []
    try:
        with mock.patch.dict(os.environ, {"RAY_USAGE_STATS_ENABLED": "0"}):
            validate_config(prepare_config(config))
    except jsonschema.ValidationError as error:
        return [f"Ray refuses it: {error.message}"]  # what follows takes its types for granted
    except (ValueError, SystemExit) as error:
        found.append(f"Ray refuses it: {str(error).splitlines()[0] if str(error) else error!r}")
    except Exception as error:  # Ray trips over what it does not expect
        found.append(f"Ray can't read it: {error!r}")
    provider = config.get("provider", {})
    kind = provider.get("type")
    found += _unknown(f"{kind} provider", provider, PROVIDER_KEYS.get(kind, set()))
    found += _types(config, kind)
    found += _commands(config)
    if "~/.ray/auth_token" not in config.get("file_mounts", {}):
        found.append("the nodes don't get the token (file_mounts)")
    if "chmod 600 ~/.ray/auth_token" not in config.get("setup_commands", []):
        found.append("the token may be read by others on the nodes")
    return found


def _unknown(where: str, given: dict[str, Any], known: set[str]) -> list[str]:
    found = []
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            found.append(
                f"{where}: no {key!r}" + (f"; did you mean {close[0]!r}?" if close else "")
            )
    return found


def _types(config: dict[str, Any], kind: str | None) -> list[str]:
    """Node types, for the providers that have any."""
    if kind == "local":
        provider = config["provider"]
        addresses = [provider.get("head_ip"), *provider.get("worker_ips", [])]
        twice = {str(each) for each in addresses if addresses.count(each) > 1}
        return [f"address {each} is there twice" for each in sorted(twice)]
    found, types = [], config.get("available_node_types", {})
    head, most = config.get("head_node_type"), config.get("max_workers", 0)
    if head not in types:
        found.append(f"head_node_type {head!r} is none of {', '.join(types)}")
    for name, node in types.items():
        lowest, highest = node.get("min_workers", 0), node.get("max_workers", most)
        if lowest > highest:
            found.append(f"{name}: min_workers {lowest} is above max_workers {highest}")
        if highest > most:
            found.append(f"{name}: max_workers {highest} is above the cluster's {most}")
        if kind == "aws":
            found += _aws(name, node.get("node_config", {}), head=name == head)
            if name == head and node.get("resources", {}).get("CPU") != 0:
                found.append("the head would run trials: resources: {CPU: 0}")
    return found


def _aws(name: str, node: dict[str, Any], head: bool) -> list[str]:
    """As EC2's own description of a request has it, names inside names included."""
    request = (
        botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances")
    )
    found = _shape(f"{name}: node_config", node, request.input_shape)
    if "IamInstanceProfile" not in node:
        found.append(f"{name}: without IamInstanceProfile it can't reach the bucket")
    if head and "InstanceMarketOptions" in node:
        found.append(f"{name}: a study ends with its head, so it must not be a spot instance")
    return found


@cache
def _request() -> Any:
    service = botocore.session.get_session().get_service_model("ec2")
    return service.operation_model("RunInstances").input_shape


def _shape(where: str, given: Any, shape: Any) -> list[str]:
    if shape.type_name == "list":
        return [said for each in given for said in _shape(where, each, shape.member)]
    if shape.type_name != "structure":
        allowed = getattr(shape, "enum", None)
        return (
            [f"{where}: {given!r} is none of {', '.join(allowed)}"]
            if (allowed and shape.name not in ("InstanceType",) and given not in allowed)
            else []
        )
    found = _unknown(where, given, {*shape.members, *OF_RAY})
    for key, value in given.items():
        if key in shape.members:
            found += _shape(f"{where}.{key}", value, shape.members[key])
    return found


def _commands(config: dict[str, Any]) -> list[str]:
    found = []
    for block in START:
        line = " ".join(config.get(block, []))
        if "ray start" not in line:
            found.append(f"{block}: Ray is not started")
        if "RAY_AUTH_MODE=token" not in line:
            found.append(f"{block}: anybody may run programs: RAY_AUTH_MODE=token is missing")
        if "RAY_USAGE_STATS_ENABLED=0" not in line:
            found.append(f"{block}: usage statistics: RAY_USAGE_STATS_ENABLED=0 is missing")
    line = " ".join(config.get("head_start_ray_commands", []))
    if not re.search(r"--dashboard-host=(127\.0\.0\.1|localhost)\b", line):
        found.append("head_start_ray_commands: the dashboard is open to the network")
    if "--num-cpus=0" not in line:
        found.append("head_start_ray_commands: the head would run trials: --num-cpus=0")
    if "--autoscaling-config=" not in line:
        found.append("head_start_ray_commands: no workers are started: --autoscaling-config")
    pinned = " ".join(config.get("setup_commands", []))
    if "--constraint constraints.txt" not in pinned:
        found.append("setup_commands: dependencies are not the pinned ones")
    return found
