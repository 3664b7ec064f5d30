"""Prints what sseclient-py makes of a stream: `python with_sseclient.py URL`."""

import sys

import httpx
import sseclient

headers = {"accept": "text/event-stream"}
with httpx.stream("GET", sys.argv[1], headers=headers, timeout=60) as response:
    for event in sseclient.SSEClient(response.iter_bytes()).events():
        if event.id and event.event == "shop.sold":
            print(f"id: {event.id}\ndata: {event.data}", flush=True)
