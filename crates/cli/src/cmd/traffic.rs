//! `rig traffic`: what services said to each other.

use anyhow::{Result, bail};
use rig_event::Seq;
use rig_replay::Timeline;
use rig_replay::traffic::{Body, Compare, Exchange, Protocol, Row, Status, Wanted};

use super::ReadArgs;
use crate::Answer;
use crate::output::{self, HEADING, Out, plain};
use crate::table::{self, Rows};

/// List the traffic between services
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rig traffic session.jsonl --edge 'order->postgres' --status 5xx
  rig traffic session.jsonl --latency '>100ms' --protocol grpc
  rig traffic session.jsonl --detail 42")]
pub struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Only from or to this service
    #[arg(long)]
    service: Option<String>,
    /// Only with this text, as it is written on the line
    #[arg(long)]
    text: Option<String>,
    /// Show everything about this one, with headers and bodies
    #[arg(long, value_name = "SEQ")]
    detail: Option<Seq>,
    /// Print an object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// Which traffic is wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct Filter {
    /// Only from one service to another; either may be left out: 'web->api', '->api', 'web->'
    #[arg(long, value_name = "FROM->TO", value_parser = edge, allow_hyphen_values = true)]
    edge: Option<(Option<String>, Option<String>)>,
    /// Only this status (503, UNAVAILABLE), class (5xx), or whatever failed
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Only what took longer or less: '>100ms', '<2s'
    #[arg(long, value_name = "BOUND", value_parser = bound)]
    latency: Option<(Compare, u64)>,
    /// Only http, grpc, kafka or tcp
    #[arg(long)]
    protocol: Option<Protocol>,
}

impl Filter {
    /// What of it, if anything was asked for.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let (source, target) = self.edge.clone().unwrap_or_default();
        let Filter { edge, status, latency, protocol } = self.clone();
        let any = edge.is_some() || status.is_some() || latency.is_some() || protocol.is_some();
        any.then_some(Wanted { source, target, status, latency, protocol, ..Wanted::default() })
    }
}

/// Most of a body that is shown in detail.
const BODY: usize = 64 << 10;

pub(super) async fn run(args: Args) -> Result<Answer> {
    let filter = args.filter.wanted().unwrap_or_default();
    let wanted = Wanted { service: args.service, text: args.text, ..filter };
    args.read
        .read(|timeline| match args.detail {
            Some(seq) => detail(timeline, seq, args.json),
            None => list(timeline, &wanted, args.json),
        })
        .await?;
    Ok(Answer::Fine)
}

fn list(timeline: &Timeline, wanted: &Wanted, json: bool) -> Result<()> {
    let mut rows = Rows::default();
    let columns = Columns::of(timeline, wanted);
    if !json {
        columns.title(&mut rows)?;
    }
    let positions = (0..timeline.len()).filter(|at| wanted.may_take(&timeline.entry(*at)));
    timeline.visit(positions, |_, line| {
        // Every line here was an exchange when it was indexed.
        let Some(row) = Row::read(line).filter(|row| wanted.takes(row, line)) else {
            return Ok::<_, anyhow::Error>(());
        };
        if json {
            rows.writer().extend_from_slice(output::plain_json(serde_json::to_string(&row)?).as_bytes());
        } else {
            columns.row(&mut rows, &row);
        }
        Ok(rows.end()?)
    })?;
    Ok(rows.flush()?)
}

/// How wide the columns are: the widest name of those that come up, within bounds.
struct Columns {
    seq: usize,
    source: usize,
    target: usize,
    status: usize,
}

/// The widest name that is shown whole.
const NAME: usize = 40;
const METHOD: usize = 7;
const LATENCY: usize = 7;

impl Columns {
    fn of(timeline: &Timeline, wanted: &Wanted) -> Columns {
        let (mut source, mut target) = ("SOURCE".len(), "TARGET".len());
        for (from, to) in timeline.edges() {
            let is =
                |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
            if is(&wanted.source, from) && is(&wanted.target, to) {
                source = source.max(table::width(from, NAME));
                target = target.max(table::width(to, NAME));
            }
        }
        let last = timeline.len().saturating_sub(1);
        let seq = timeline.seq(last).to_string().len().max("SEQ".len());
        // The names of gRPC's statuses are long; where there are none, the column is not.
        let grpc = timeline.types().any(|name| Protocol::of(name) == Some(Protocol::Grpc));
        Columns { seq, source, target, status: if grpc { 19 } else { 6 } }
    }

    fn title(&self, rows: &mut Rows) -> Result<()> {
        rows.right("SEQ", self.seq);
        rows.text("  ");
        rows.cell("TIME", 23);
        rows.text("  ");
        rows.cell("SOURCE", self.source);
        rows.text("    ");
        rows.cell("TARGET", self.target);
        rows.text("  ");
        rows.cell("METHOD", METHOD);
        rows.text("  ");
        rows.cell("STATUS", self.status);
        rows.text("  ");
        rows.right("LATENCY", LATENCY);
        rows.text("  PATH");
        Ok(rows.end()?)
    }

    fn row(&self, rows: &mut Rows, row: &Row<'_>) {
        rows.number(row.seq, self.seq);
        rows.text("  ");
        rows.time(row.ts);
        rows.text("  ");
        rows.cell(&row.source, self.source);
        rows.text(" -> ");
        rows.cell(&row.target, self.target);
        rows.text("  ");
        let method = match row.protocol {
            Protocol::Grpc => "gRPC",
            Protocol::Kafka => "KAFKA",
            Protocol::Tcp => "TCP",
            Protocol::Http => &row.method,
        };
        rows.cell(method, METHOD);
        rows.text("  ");
        match row.protocol {
            Protocol::Tcp => rows.cell(&row.method, self.status),
            _ => rows.cell(row.status.as_deref().unwrap_or("-"), self.status),
        }
        rows.text("  ");
        rows.right(&row.latency_us.map_or_else(|| "-".to_owned(), table::latency), LATENCY);
        rows.text("  ");
        match row.protocol {
            Protocol::Http => rows.foreign(&row.path),
            Protocol::Grpc => {
                rows.foreign(&row.path);
                rows.text("/");
                rows.foreign(&row.method);
            }
            Protocol::Kafka => rows.foreign(&row.method),
            Protocol::Tcp => {
                if let (Some(bytes_in), Some(bytes_out)) = (row.bytes_in, row.bytes_out) {
                    rows.number(bytes_in, 0);
                    rows.text(" bytes in, ");
                    rows.number(bytes_out, 0);
                    rows.text(" out");
                }
            }
        }
    }
}

pub(super) fn detail(timeline: &Timeline, seq: Seq, json: bool) -> Result<()> {
    let Some(at) = timeline.position(seq) else { bail!("there is no event {seq} in it") };
    let Some(exchange) = Exchange::read(&timeline.line(at)?, BODY) else {
        bail!("event {seq} is no traffic but {}", plain(timeline.entry(at).type_name));
    };
    let mut out = Out::new();
    if json {
        return out.json(&exchange);
    }
    let row = &exchange.row;
    out.line(output::styled(HEADING, plain(&format!("{} -> {}", row.source, row.target))))?;
    let call = match row.protocol {
        Protocol::Grpc => format!("gRPC {}/{}", row.path, row.method),
        Protocol::Http => format!("{} {}", row.method, row.path),
        other => format!("{} {}", other.as_str(), row.method),
    };
    out.line(format!("seq      {seq}\ntime     {}\ncall     {}", row.ts, plain(&call)))?;
    if !matches!(row.protocol, Protocol::Tcp) {
        out.line(format!("status   {}", plain(row.status.as_deref().unwrap_or("no answer"))))?;
    }
    if let Some(us) = row.latency_us {
        out.line(format!("latency  {}", table::latency(us)))?;
    }
    if let (Some(bytes_in), Some(bytes_out)) = (row.bytes_in, row.bytes_out) {
        out.line(format!("bytes    {bytes_in} in, {bytes_out} out"))?;
    }
    if let Some(error) = &exchange.error {
        out.line(format!("error    {}", plain(error)))?;
    }
    let parts = [
        ("request", &exchange.request_headers, &exchange.request_body),
        ("response", &exchange.response_headers, &exchange.response_body),
    ];
    for (title, headers, body) in parts {
        if headers.is_empty() && body.is_none() {
            continue;
        }
        out.line(format!("\n{}", output::styled(HEADING, title)))?;
        for (name, values) in headers {
            for value in values {
                out.line(plain(&format!("{name}: {value}")))?;
            }
        }
        if let Some(body) = body {
            out.line("")?;
            show(&mut out, body)?;
        }
    }
    Ok(())
}

fn show(out: &mut Out, body: &Body) -> Result<()> {
    if body.binary {
        out.line(format!("{} binary bytes, {}", body.bytes, body.text))?;
    } else {
        for line in body.text.lines() {
            out.line(plain(line))?;
        }
    }
    if body.truncated {
        out.line("… cut")?;
    }
    Ok(())
}

fn edge(text: &str) -> Result<(Option<String>, Option<String>)> {
    let Some((from, to)) = text.split_once("->") else {
        bail!("write FROM->TO, such as 'web->api' or '->api'")
    };
    let name = |name: &str| (!name.trim().is_empty()).then(|| name.trim().to_owned());
    Ok((name(from), name(to)))
}

fn bound(text: &str) -> Result<(Compare, u64)> {
    let wrong = "write a bound such as '>100ms' or '<2s'";
    let (compare, rest) = match text.trim().split_at_checked(1) {
        Some((">", rest)) => (Compare::More, rest.trim()),
        Some(("<", rest)) => (Compare::Less, rest.trim()),
        _ => bail!(wrong),
    };
    let digits = rest.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let factor = match unit {
        "us" | "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 6e7,
        _ => bail!(wrong),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..1e12).contains(&number) => Ok((compare, (number * factor).round() as u64)),
        _ => bail!(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_edges_are_read() {
        assert_eq!(bound(">100ms").unwrap(), (Compare::More, 100_000));
        assert_eq!(bound("< 1.5s").unwrap(), (Compare::Less, 1_500_000));
        for bad in ["100ms", ">100", ">ms", ">-1s", "", "µ"] {
            assert!(bound(bad).is_err(), "{bad}");
        }
        assert_eq!(edge("a -> b").unwrap(), (Some("a".into()), Some("b".into())));
        assert_eq!(edge("->b").unwrap(), (None, Some("b".into())));
        assert!(edge("ab").is_err());
    }
}
