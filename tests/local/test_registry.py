"""Domains and types."""

from typing import Any

import pytest

from swf_cli.local.engine import Engine
from tests.helpers.flow import NOW, Flow, decision, over, refused


class TestRegistry:
    """Domains and types."""

    def test_domains(self, flow: Flow) -> None:
        """Register, describe, list, deprecate and undeprecate a domain."""
        flow.call("RegisterDomain", name="b", workflowExecutionRetentionPeriodInDays="7", description="d")
        with refused("DomainAlreadyExistsFault", "b"):
            flow.call("RegisterDomain", name="b", workflowExecutionRetentionPeriodInDays="7")
        info = {
            "name": "b",
            "status": "REGISTERED",
            "arn": "arn:aws:swf:us-east-1:123456789012:/domain/b",
            "description": "d",
        }
        assert flow.call("DescribeDomain", name="b") == {
            "domainInfo": info,
            "configuration": {"workflowExecutionRetentionPeriodInDays": "7"},
        }
        listed = flow.call("ListDomains", registrationStatus="REGISTERED")["domainInfos"]
        assert [each["name"] for each in listed] == ["b", "media"]
        flow.call("DeprecateDomain", name="media")
        assert flow.call("ListDomains", registrationStatus="REGISTERED") == {"domainInfos": [info]}
        for refuse in (lambda: flow.call("DeprecateDomain", name="media"), flow.start):
            with refused("DomainDeprecatedFault", "media"):
                refuse()
        flow.call("UndeprecateDomain", name="media")
        with refused("DomainAlreadyExistsFault", "media"):
            flow.call("UndeprecateDomain", name="media")
        flow.start()
        with refused("UnknownResourceFault", "Unknown domain: nope"):
            flow.call("DescribeDomain", name="nope")

    @pytest.mark.parametrize(("kind", "name"), [("Activity", "resize"), ("Workflow", "video")])
    def test_types(self, engine: Engine, flow: Flow, kind: str, name: str) -> None:
        """Register, describe, list, deprecate and undeprecate a type."""
        key = f"{kind.lower()}Type"
        wire = {"name": name, "version": "2"}
        called = {"domain": flow.domain, key: wire}
        spelled = f"{kind}Type=[name={name}, version=2]"
        registered = {
            "domain": flow.domain,
            **wire,
            "description": "d",
            "defaultTaskList": {"name": "l"},
            "defaultTaskStartToCloseTimeout": "9",
        }
        flow.call(f"Register{kind}Type", **registered)
        with refused("TypeAlreadyExistsFault", spelled):
            flow.call(f"Register{kind}Type", **registered)
        assert flow.call(f"Describe{kind}Type", **called) == {
            "typeInfo": {key: wire, "status": "REGISTERED", "creationDate": NOW, "description": "d"},
            "configuration": {"defaultTaskList": {"name": "l"}, "defaultTaskStartToCloseTimeout": "9"},
        }
        flow.call(f"Register{kind}Type", **{**registered, "name": "a"})
        asked = {"domain": flow.domain, "registrationStatus": "REGISTERED"}

        def listed(**args: Any) -> list[str]:
            infos = flow.call(f"List{kind}Types", **asked, **args)["typeInfos"]
            return [f"{each[key]['name']} {each[key]['version']}" for each in infos]

        assert listed() == ["a 2", f"{name} 1", f"{name} 2"]
        assert listed(reverseOrder=True, name=name) == [f"{name} 2", f"{name} 1"]
        first = flow.call(f"List{kind}Types", **asked, maximumPageSize=2)
        assert listed(maximumPageSize=2, nextPageToken=first["nextPageToken"]) == [f"{name} 2"]

        engine.advance(3)
        flow.call(f"Deprecate{kind}Type", **called)
        info = flow.call(f"Describe{kind}Type", **called)["typeInfo"]
        assert (info["status"], info["deprecationDate"]) == ("DEPRECATED", NOW + 3)
        assert listed(name=name) == [f"{name} 1"]
        with refused("TypeDeprecatedFault", spelled):
            flow.call(f"Deprecate{kind}Type", **called)
        flow.call(f"Undeprecate{kind}Type", **called)
        with refused("TypeAlreadyExistsFault", spelled):
            flow.call(f"Undeprecate{kind}Type", **called)
        with refused("UnknownResourceFault", f"Unknown type: {kind}Type=[name=x, version=2]"):
            flow.call(f"Describe{kind}Type", domain=flow.domain, **{key: {"name": "x", "version": "2"}})

    def test_a_deprecated_workflow_type_starts_nothing(self, flow: Flow) -> None:
        """StartWorkflowExecution rejects a deprecated type, and an unknown one."""
        flow.call("DeprecateWorkflowType", domain=flow.domain, workflowType={"name": "video", "version": "1"})
        with refused("TypeDeprecatedFault", "WorkflowType=[name=video, version=1]"):
            flow.start()
        with refused("UnknownResourceFault", "Unknown type: WorkflowType=[name=x, version=1]"):
            flow.start(workflowType={"name": "x", "version": "1"})

    @pytest.mark.parametrize(("kind", "name"), [("Activity", "resize"), ("Workflow", "video")])
    def test_deleted_types(self, flow: Flow, kind: str, name: str) -> None:
        """Only a deprecated type can be deleted. Then it is unknown, and can be registered again."""
        called = {"domain": flow.domain, f"{kind.lower()}Type": {"name": name, "version": "1"}}
        spelled = f"{kind}Type=[name={name}, version=1]"
        with refused("TypeNotDeprecatedFault", spelled):
            flow.call(f"Delete{kind}Type", **called)
        flow.call(f"Deprecate{kind}Type", **called)
        flow.call(f"Delete{kind}Type", **called)
        for operation in ("Delete", "Describe", "Undeprecate"):
            with refused("UnknownResourceFault", f"Unknown type: {spelled}"):
                flow.call(f"{operation}{kind}Type", **called)
        flow.call(f"Register{kind}Type", domain=flow.domain, name=name, version="1")

    def test_executions_of_a_deleted_type(self, flow: Flow) -> None:
        """They go on."""
        execution = flow.start()
        called = {"domain": flow.domain, "workflowType": {"name": "video", "version": "1"}}
        flow.call("DeprecateWorkflowType", **called)
        flow.call("DeleteWorkflowType", **called)
        flow.decide(decision("CompleteWorkflowExecution"))
        assert flow.describe(execution)["executionInfo"]["closeStatus"] == "COMPLETED"


class TestRegions:
    """Each region has its own domains."""

    def test_domains(self, engine: Engine, flow: Flow) -> None:
        """A domain is in one region, which its ARN names; its tokens are unknown in others."""
        elsewhere = Flow(over(engine, "eu-west-1"))
        with refused("UnknownResourceFault", "Unknown domain: media"):
            elsewhere.call("DescribeDomain", name="media")
        elsewhere.register()
        arns = [each.call("DescribeDomain", name="media")["domainInfo"]["arn"] for each in (flow, elsewhere)]
        assert arns == [f"arn:aws:swf:{name}:123456789012:/domain/media" for name in ("us-east-1", "eu-west-1")]
        flow.schedule()
        assert (flow.pending(), elsewhere.pending()) == (1, 0)
        with refused("ValidationException", "Invalid token"):
            elsewhere.call("RespondActivityTaskCompleted", taskToken=flow.poll()["taskToken"])

    def test_time(self, engine: Engine, flow: Flow) -> None:
        """All regions share the clock."""
        elsewhere = Flow(over(engine, "eu-west-1")).register()
        executions = [each.start(executionStartToCloseTimeout="9") for each in (flow, elsewhere)]
        engine.advance(10)
        for each, execution in zip((flow, elsewhere), executions, strict=True):
            assert each.describe(execution)["executionInfo"]["closeStatus"] == "TIMED_OUT"


class TestTags:
    """Tags of domains."""

    ARN = "arn:aws:swf:us-east-1:123456789012:/domain/media"

    def test_they_are_added_replaced_and_removed(self, flow: Flow) -> None:
        """TagResource, UntagResource and ListTagsForResource."""
        assert flow.call("ListTagsForResource", resourceArn=self.ARN) == {"tags": []}
        tags = [{"key": "team", "value": "a"}, {"key": "é _.:/=+-@", "value": ""}, {"key": "none"}]
        flow.call("TagResource", resourceArn=self.ARN, tags=tags)
        flow.call("TagResource", resourceArn=self.ARN, tags=[{"key": "team", "value": "b"}])
        assert flow.call("ListTagsForResource", resourceArn=self.ARN) == {
            "tags": [{"key": "team", "value": "b"}, *tags[1:]]
        }
        flow.call("UntagResource", resourceArn=self.ARN, tagKeys=["team", "missing"])
        assert flow.call("ListTagsForResource", resourceArn=self.ARN) == {"tags": tags[1:]}

    def test_at_registration(self, flow: Flow) -> None:
        """RegisterDomain takes tags. A domain with invalid ones is not registered."""
        given = {"name": "b", "workflowExecutionRetentionPeriodInDays": "1"}
        with refused("ValidationException", "Invalid tag: a,b"):
            flow.call("RegisterDomain", **given, tags=[{"key": "a,b", "value": "x"}])
        with refused("TooManyTagsFault", "A domain has at most 50 tags"):
            flow.call("RegisterDomain", **given, tags=[{"key": str(number)} for number in range(51)])
        flow.call("RegisterDomain", **given, tags=[{"key": str(number)} for number in range(50)])
        arn = f"{self.ARN[:-5]}b"
        assert len(flow.call("ListTagsForResource", resourceArn=arn)["tags"]) == 50
        with refused("TooManyTagsFault", "A domain has at most 50 tags"):
            flow.call("TagResource", resourceArn=arn, tags=[{"key": "one more"}])

    @pytest.mark.parametrize("arn", [ARN.replace("us-", "eu-"), f"{ARN}2", "media", ARN.replace("swf", "s3")])
    @pytest.mark.parametrize(
        ("operation", "args"),
        [("TagResource", {"tags": []}), ("UntagResource", {"tagKeys": []}), ("ListTagsForResource", {})],
    )
    def test_an_unknown_domain(self, flow: Flow, arn: str, operation: str, args: dict[str, Any]) -> None:
        """An ARN of another domain, region or service is unknown."""
        with refused("UnknownResourceFault", f"Unknown resource: {arn}"):
            flow.call(operation, resourceArn=arn, **args)
