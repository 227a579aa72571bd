"""What the `code_review` workflow begins with, and how the reviewers get it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flockd.demo.assemble import GeneratedCode
from flockd.demo.source import SOURCE_MAX_CHARACTERS, CodeSubmission


class ReviewRequest(BaseModel):
    """Source code that is to be reviewed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"requirements": "import os\n\nprint(nme)\n"},
                {"requirements": "Find the bugs", "code": "import os\n\nprint(nme)\n", "filename": "app.py"},
            ]
        }
    )

    requirements: str = Field(
        min_length=1,
        max_length=SOURCE_MAX_CHARACTERS,
        description="What is asked for; where there is no `code`, the source itself",
    )
    code: str | None = Field(default=None, max_length=SOURCE_MAX_CHARACTERS, description="The source text")
    language: Literal["python"] = "python"
    filename: str | None = Field(default=None, max_length=255, description="For display")


def submission_of(request: ReviewRequest) -> CodeSubmission:
    """The submission that the reviewers wait for."""
    return CodeSubmission(
        code=request.requirements if request.code is None else request.code,
        language=request.language,
        filename=request.filename,
    )


def submission_of_generated(code: GeneratedCode) -> CodeSubmission:
    """Generated code, for the same reviewers. Raises ValidationError for more than they read."""
    return CodeSubmission(code=code.generated_code, filename=f"{code.module}.py")
