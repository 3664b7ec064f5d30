//! A flood of snapshots as the collector sends them, most of them repeats, and what must be left of it.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::random::Random;

/// One message to send.
pub struct Message {
    pub subject: String,
    pub payload: String,
}

/// A device and the versions of its config, in the order in which they are sent.
pub struct Device {
    pub tenant: String,
    pub id: String,
    pub versions: Vec<usize>,
}

/// Devices that go through some versions each, and at last back to the first.
pub fn devices(tenants: usize, each: usize, versions: usize) -> Vec<Device> {
    let device = |(tenant, n): (usize, usize)| Device {
        tenant: format!("00000000-0000-4000-8000-{tenant:012}"),
        id: format!("00000000-0000-4000-9000-{:012}", tenant * 1_000 + n),
        versions: (0..versions).chain([0]).collect(),
    };
    (0..tenants).flat_map(|tenant| (0..each).map(move |n| (tenant, n))).map(device).collect()
}

/// The export of a version, without what changes by itself.
pub fn config(device: &str, version: usize) -> String {
    format!(
        "# serial number = {device}\n\n/ip firewall filter\nadd chain=input action=accept comment=\"version {version}\"\n/system identity\nset name=router\n"
    )
}

/// A message with a version: `repeat` makes exports that differ in what is normalised away.
pub fn message(device: &Device, step: usize, repeat: usize) -> Message {
    let config = config(&device.id, device.versions[step]);
    let hash: String = Sha256::digest(&config).iter().map(|b| format!("{b:02x}")).collect();
    let header = format!("# 2026/01/15 10:{repeat:02}:00 by RouterOS 7.20\n");
    let text = match repeat % 3 {
        0 => format!("{header}{config}"),
        1 => format!("{header}\n{config}\n\n").replace('\n', " \r\n").replacen(" \r\n", "\r\n", 2),
        _ => config,
    };
    let payload = json!({
        "tenant_id": device.tenant, "device_id": device.id, "sha256_hash": hash, "config_text": text,
        "collected_at": format!("2026-11-20T{step:02}:{repeat:02}:00Z"), "normalization_version": 1,
    });
    Message { subject: format!("config.snapshot.{}", device.id), payload: payload.to_string() }
}

/// All messages of all devices: each version so many times, which differs from device to device, devices mixed, and one in forty
/// malformed. Gives how many those are.
pub fn flood(devices: &[Device], repeats: &[usize], random: &mut Random) -> (Vec<Message>, usize) {
    let mut lines: Vec<Vec<Message>> = devices
        .iter()
        .zip(repeats.iter().copied().cycle())
        .map(|(device, repeats)| {
            let steps =
                (0..device.versions.len()).flat_map(|step| (0..repeats).map(move |repeat| (step, repeat)));
            steps.rev().map(|(step, repeat)| message(device, step, repeat)).collect()
        })
        .collect();
    let (mut messages, mut malformed) = (Vec::new(), 0);
    while !lines.is_empty() {
        let at = random.below(lines.len() as u64) as usize;
        match lines[at].pop() {
            Some(message) if random.one_in(40) => {
                malformed += 1;
                let broken = message.payload.replace("\"config_text\"", "\"text\"");
                messages.push(Message { subject: message.subject.clone(), payload: broken });
                messages.push(message);
            }
            Some(message) => messages.push(message),
            None => drop(lines.swap_remove(at)),
        }
    }
    (messages, malformed)
}

pub async fn publish(context: &Context, messages: &[Message]) {
    let mut acks = Vec::new();
    for Message { subject, payload } in messages {
        acks.push(context.publish(subject.clone(), payload.clone().into()).await.unwrap());
    }
    for ack in acks {
        ack.await.unwrap();
    }
}

/// Every event of a stream.
pub async fn events(url: &str, stream: &str) -> Vec<Value> {
    let answer = reqwest::get(format!("{url}/v1/streams/{stream}/events?from=1")).await.unwrap();
    assert_eq!(answer.status(), 200, "{stream}");
    answer.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each device has exactly one capture a version, in their order, and nothing else; and has the last one now.
pub async fn check(url: &str, devices: &[Device]) {
    let mut captured: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut tenants: Vec<&str> = devices.iter().map(|device| device.tenant.as_str()).collect();
    tenants.dedup();
    for tenant in tenants {
        for event in events(url, tenant).await {
            match event["type"].as_str().unwrap() {
                "snapshot.captured" => {
                    let collected = event["meta"]["collected_at"].as_str().unwrap();
                    let step: usize = collected["2026-11-20T".len()..][..2].parse().unwrap();
                    captured.entry(event["service"].as_str().unwrap().to_owned()).or_default().push(step);
                    assert_eq!(event["normalisation"], 3, "{event}");
                    assert_eq!(event["actor"], "nats", "{event}");
                }
                "diff.computed" | "log.sealed" => {}
                other => panic!("{other}: {event}"),
            }
        }
    }
    for device in devices {
        let expected: Vec<usize> = (0..device.versions.len()).collect();
        assert_eq!(captured.remove(&device.id), Some(expected), "{}", device.id);
        let address = format!("{url}/v1/streams/{}/services/{}/config", device.tenant, device.id);
        let answer: Value =
            serde_json::from_str(&reqwest::get(address).await.unwrap().text().await.unwrap()).unwrap();
        let last = config(&device.id, *device.versions.last().unwrap());
        assert_eq!(answer["config"]["text"].as_str(), Some(last.as_str()), "{answer}");
    }
    assert!(captured.is_empty(), "{captured:?}");
}
