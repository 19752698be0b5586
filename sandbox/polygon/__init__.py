"""An offline market with Polygon's REST API: real anchors, seeded walks, the provider's known quirks.

``python -m sandbox.polygon --help`` lists its settings. Any API key is accepted unless ``--key`` names the only
one; the key ``denied-plan`` is always refused with 403. Beside the provider's paths it serves files of two funds and
a page of announced changes (:mod:`sandbox.polygon.funds`), and it answers ``GET /sandbox/health``,
``GET /sandbox/calls``, ``POST /sandbox/calls/reset``, ``GET`` and ``POST /sandbox/faults`` (a JSON list of rules that
replaces the rules before, see :class:`sandbox.polygon.faults.Fault`).
``sandbox.polygon.truth`` has the figures without these quirks.
"""
