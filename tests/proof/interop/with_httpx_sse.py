"""Prints what httpx-sse makes of a stream: `python with_httpx_sse.py URL`."""

import sys

import httpx
from httpx_sse import connect_sse

with httpx.Client(timeout=60) as client:
    with connect_sse(client, "GET", sys.argv[1]) as source:
        for event in source.iter_sse():
            if event.id and event.event == "shop.sold":
                print(f"id: {event.id}\ndata: {event.data}", flush=True)
