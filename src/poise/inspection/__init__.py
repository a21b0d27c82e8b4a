"""Looking inside a trained policy: what its modalities say, what counts, what each is worth, and where it looks."""

from poise.inspection.findings import Findings
from poise.inspection.groups import BY, By
from poise.inspection.inspecting import check_inspectable, inspect_policy
from poise.inspection.page import write_findings

__all__ = ["BY", "By", "Findings", "check_inspectable", "inspect_policy", "write_findings"]
