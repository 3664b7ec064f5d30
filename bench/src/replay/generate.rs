//! A rigd log as a long test run leaves it: 70 % requests with headers and small bodies, 15 % log lines, 10 % closed connections,
//! 5 % of the rest; 0.2 % of the requests fail with 5xx and 1 % with 4xx.

use std::io::Write;

use anyhow::Result;

const SERVICES: [&str; 10] = [
    "gateway",
    "orders",
    "users",
    "payments",
    "inventory",
    "search",
    "notify",
    "postgres",
    "redis",
    "temporal",
];
const ENVIRONMENT: &str = "TestCheckout/full_flow";

/// Numbers that look random and are the same in every run (xorshift64*, Marsaglia and Vigna).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn service(&mut self) -> &'static str {
        SERVICES[self.below(10) as usize]
    }

    fn pair(&mut self) -> (&'static str, &'static str) {
        let from = self.below(10);
        let to = (from + 1 + self.below(9)) % 10;
        (SERVICES[from as usize], SERVICES[to as usize])
    }
}

struct Log<'a, W: Write> {
    out: &'a mut W,
    seq: u64,
    micros: u64,
    numbers: Numbers,
}

impl<W: Write> Log<'_, W> {
    fn event(&mut self, kind: &str, rest: &str) -> Result<()> {
        self.seq += 1;
        self.micros += 1 + self.numbers.below(99);
        let (second, fraction) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let (hour, minute, second) = (9 + second / 3600, second / 60 % 60, second % 60);
        writeln!(
            self.out,
            r#"{{"seq":{},"type":"{kind}","environment":"{ENVIRONMENT}"{rest},"timestamp":"2026-03-01T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z"}}"#,
            self.seq
        )?;
        Ok(())
    }

    fn request(&mut self) -> Result<()> {
        let (source, target) = self.numbers.pair();
        let (a, b) = (self.numbers.below(99_999), self.numbers.below(99_999));
        let path = match self.numbers.below(9) {
            0 => "/orders".to_owned(),
            1 => format!("/orders/{a}"),
            2 => format!("/users/{a}"),
            3 => format!("/users/{a}/cart?limit={b}"),
            4 => "/payments/charge".to_owned(),
            5 => format!("/inventory/{a}"),
            6 => format!("/search?q=item{a}&page={b}"),
            7 => "/notify/email".to_owned(),
            _ => "/healthz".to_owned(),
        };
        let method = match self.numbers.below(100) {
            0..70 => "GET",
            70..90 => "POST",
            90..97 => "PUT",
            _ => "DELETE",
        };
        let status = match self.numbers.below(1000) {
            0..2 => [500, 502, 503][self.numbers.below(3) as usize],
            2..12 => [400, 404, 409, 422][self.numbers.below(4) as usize],
            _ => match method {
                "POST" => 201,
                "DELETE" => 204,
                _ => 200,
            },
        };
        let id = format!("{:016x}", self.numbers.next());
        let sent = match method {
            "POST" | "PUT" => format!(r#"{{"item_id":{b},"qty":{},"note":"{id}"}}"#, a % 9 + 1),
            _ => String::new(),
        };
        let answered = match status {
            400.. => {
                format!(r#"{{"error":"{} failed: code {}"}}"#, path.split('/').nth(1).unwrap_or("it"), a % 50)
            }
            204 => String::new(),
            _ => format!(
                r#"{{"id":{b},"status":"ok","total":{}.{:02},"tags":["a","b"],"rid":"{id}"}}"#,
                a % 500,
                b % 100
            ),
        };
        let latency = 200 + self.numbers.below(40) * self.numbers.below(400);
        let body = |name: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!(r#","{name}":"{}""#, base64(text.as_bytes()))
            }
        };
        let payload = format!(
            r#","request":{{"source":"{source}","target":"{target}","ingress":"default","method":"{method}","path":"{path}","status_code":{status},"latency_ms":{}.{:03},"request_size":{},"response_size":{},"request_headers":{{"Accept-Encoding":["gzip"],"Content-Type":["application/json"],"User-Agent":["Go-http-client/1.1"],"X-Request-Id":["{id}"]}}{},"response_headers":{{"Content-Length":["{}"],"Content-Type":["application/json"],"Date":["Sun, 01 Mar 2026 09:00:00 GMT"]}}{}}}"#,
            latency / 1000,
            latency % 1000,
            sent.len(),
            answered.len(),
            body("request_body", &sent),
            answered.len(),
            body("response_body", &answered),
        );
        self.event("request.completed", &payload)
    }

    fn output(&mut self) -> Result<()> {
        let service = self.numbers.service();
        let (a, b, id) = (self.numbers.below(50), self.numbers.below(9999), self.numbers.next());
        let payload = if self.numbers.below(10) == 0 {
            format!(
                r#","service":"{service}","log":{{"stream":"stderr","data":"ERROR orders failed: code {a} req={:08x}"}}"#,
                id >> 32
            )
        } else {
            format!(
                r#","service":"{service}","log":{{"stream":"stdout","data":"level=info msg=\"handled request\" dur={a}.{:03}ms user={b} rid={id:016x}"}}"#,
                b % 1000
            )
        };
        self.event("service.log", &payload)
    }

    fn connection(&mut self) -> Result<()> {
        let (source, target) = self.numbers.pair();
        let (a, b) = (self.numbers.below(200_000), self.numbers.below(200_000));
        let payload = format!(
            r#","connection":{{"source":"{source}","target":"{target}","ingress":"default","bytes_in":{a},"bytes_out":{b},"duration_ms":{}.{:03}}}"#,
            a % 5000,
            b % 1000
        );
        self.event("connection.closed", &payload)
    }

    fn other(&mut self) -> Result<()> {
        let service = self.numbers.service();
        let id = self.numbers.next() >> 16;
        match self.numbers.below(4) {
            0 => self.event("health.check_failed", &format!(r#","service":"{service}","ingress":"default","error":"Get \"http://127.0.0.1:20001/\": dial tcp 127.0.0.1:20001: connect: connection refused""#)),
            1 => self.event("callback.request", &format!(r#","service":"{service}","callback":{{"request_id":"{id:012x}","name":"_start_1","type":"start"}}"#)),
            2 => self.event("callback.response", &format!(r#","service":"{service}","result":{{"request_id":"{id:012x}"}}"#)),
            _ => self.event("service.healthy", &format!(r#","service":"{service}""#)),
        }
    }
}

/// Writes a log of so many events.
pub fn write(out: &mut impl Write, events: usize) -> Result<()> {
    let names = SERVICES.map(|name| format!("\"{name}\"")).join(",");
    writeln!(
        out,
        r#"{{"type":"log.header","environment":"{ENVIRONMENT}","outcome":"failed","services":[{names}],"duration_ms":50000,"timestamp":"2026-03-01T09:00:50Z"}}"#
    )?;
    let mut log = Log { out, seq: 0, micros: 0, numbers: Numbers(0x9e37_79b9_7f4a_7c15) };
    for service in SERVICES {
        let about = format!(r#","service":"{service}""#);
        for step in ["service.starting", "service.healthy", "service.ready"] {
            log.event(step, &about)?;
        }
    }
    log.event("environment.up", r#","message":"environment up""#)?;
    for _ in 0..events.saturating_sub(34) {
        match log.numbers.below(100) {
            0..70 => log.request()?,
            70..85 => log.output()?,
            85..95 => log.connection()?,
            _ => log.other()?,
        }
    }
    log.event("test.note", r#","error":"checkout_test.go:88: expected status 200, got 500""#)?;
    log.event("environment.destroying", "")?;
    log.event("environment.down", "")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let six = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= three.len() { char::from(DIGITS[six as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_log_of_rigd() {
        let mut log = Vec::new();
        write(&mut log, 2000).unwrap();
        let text = String::from_utf8(log).unwrap();
        let mut requests = 0;
        for (line, seq) in text.lines().skip(1).zip(1..) {
            let event = rig_event::rigd::parse(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert_eq!(event.seq, seq);
            requests += usize::from(event.event.type_name() == "request.completed");
        }
        assert_eq!(text.lines().count(), 2001);
        assert!((1300..1500).contains(&requests), "{requests}");
        let per_event = text.len() / 2000;
        assert!((500..650).contains(&per_event), "{per_event}");
    }

    #[test]
    fn base64_is_as_everyone_writes_it() {
        assert_eq!(
            ["", "f", "fo", "foo", "foob"].map(|t| base64(t.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
