"""The switch's P4Runtime service: everything between gRPC and the `Dataplane` protocol.

`server` alone imports grpc. Below it, from the outside in:

* `core`: one device; who may do what, and the four kinds of requests it answers.
* `arbitration`, `roles`: which client is primary for which role, and what its role lets it do.
* `pipeline`: a forwarding pipeline configuration, checked, with one handler for each kind of P4Runtime entity.
* `table_entry`, `action_profile`, `indexed`, ...: those handlers.
* `match_plan`, `action_plan`: a table's keys and actions, precompiled to and from packed bytes.
* `wire`: protobuf's wire format, for answers that are built without a message object per entry.
"""
