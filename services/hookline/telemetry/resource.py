"""Who sends: the resource of every span and metric (https://opentelemetry.io/docs/specs/semconv/resource/)."""

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

import hookline


class _ProcessResource(Resource):
    """Hashed once: the encoder looks it up for each span, and the SDK's own hash writes JSON each time."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource.attributes, resource.schema_url)
        self._hash = hash(resource)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


def resource(service: str) -> Resource:
    """Describe this process: its service's name and version, and an id that no other process has.

    What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before all of it.
    """
    ours = {"service.name": service, "service.version": hookline.__version__}
    theirs = OTELResourceDetector().detect().attributes
    # The SDK adds service.instance.id.
    return _ProcessResource(
        Resource.create({name: value for name, value in ours.items() if name not in theirs})
    )
