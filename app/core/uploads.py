"""Files that callers send, as the body itself or as the field `file` of a form; and those that they get."""

from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from app.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, the name and media type that its sender gave it, and the other fields of the form."""

    name: str
    media_type: str
    data: bytes
    fields: dict[str, str]


async def upload_of(request: Request[Any, Any, Any]) -> Upload:
    """
    Raises:
        Invalid (`file`): there is none, or nothing in it.
    """
    kind = request.content_type[0]
    if kind == RequestEncodingType.MULTI_PART:
        form = await request.form()
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Invalid.field("file", "is wanted: a field of the form that holds a file")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        found = Upload(file.filename or "", file.content_type or "", await file.read(), fields)
    else:
        found = Upload(request.query_params.get("fileName", ""), kind, await request.body(), {})
    if not found.data:
        raise Invalid.field("file", "is empty")
    return found


def plain_name(name: str, longest: int, without: str) -> str:
    """The last part of a path, without what cannot be printed; `without` where nothing is left."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable()).strip()[:longest] or without


@dataclass
class FileOperation(Operation):
    """Tells the API's description what the body of an upload may be."""

    def __post_init__(self) -> None:
        binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": binary}, required=["file"])
        content = {"application/octet-stream": binary, "multipart/form-data": form}
        self.request_body = RequestBody(
            {kind: OpenAPIMediaType(shape) for kind, shape in content.items()}, required=True
        )


def answering(*kinds: str) -> type[Operation]:
    """For the API's description: the answer is the bytes of a file, of one of these media types."""

    @dataclass
    class Served(Operation):
        def __post_init__(self) -> None:
            binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
            answer = (self.responses or {})["200"]
            assert isinstance(answer, OpenAPIResponse)
            answer.content = {kind: OpenAPIMediaType(binary) for kind in kinds}

    return Served
