"""A model of what Kubernetes asks of a node's data plane, and random flows to compare a switch with it.

The model is written from the contract (the Kubernetes APIs, kube-proxy's behaviour, and where they leave a choice, docs/pipeline.md and
docs/controller.md): it reads the API's objects as plain documents and knows neither the pipeline's tables nor the derivation's rules.

    objects.py    the cluster as the documents describe it
    services.py   which Service a packet asks for, and which endpoints may serve it
    policies.py   whether policies allow a connection
    contract.py   what may become of a packet, with the connections that there are
    scenarios.py  random clusters and flows
    drive.py      a scenario through a switch, judged by the model
"""
