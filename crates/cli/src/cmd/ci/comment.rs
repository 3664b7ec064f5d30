//! One comment on the pull request, or merge request, that a job belongs to: written the first time that something fails, and brought up to
//! date by every job that follows.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use rig_replay::explain::ConfigChange;
use serde_json::{Value, json};

use super::Report;
use super::summary::html;
use crate::cmd::explain::{self, first_failure};
use crate::output;

/// The longest comment, in bytes: GitHub takes 65,536 characters.
const LONGEST: usize = 60_000;

/// Failed recordings that are told of.
const RECORDINGS: usize = 20;

/// Pages of a hundred comments that are looked through for the one.
const PAGES: usize = 50;

/// The largest answer that is read.
const LARGEST: usize = 16 << 20;

/// Where a comment goes.
struct Place {
    client: reqwest::Client,
    /// The list of comments.
    list: String,
    /// The address that changes one of them, without its id.
    one: String,
    method: Method,
    header: &'static str,
    token: String,
}

fn said(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn needed(name: &str) -> Result<String> {
    said(name).with_context(|| format!("{name} is not set"))
}

impl Place {
    /// Finds the pull request, or the merge request, in what GitHub or GitLab say in the environment; `None` if there is none.
    fn find() -> Result<Option<Place>> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("rig/", env!("CARGO_PKG_VERSION")))
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        if let Some(merge_request) = said("CI_MERGE_REQUEST_IID") {
            let (api, project) = (needed("CI_API_V4_URL")?, needed("CI_PROJECT_ID")?);
            let list = format!("{api}/projects/{project}/merge_requests/{merge_request}/notes");
            let token =
                needed("RIG_GITLAB_TOKEN").context("a token with the scope `api` writes the comment")?;
            return Ok(Some(Place {
                client,
                one: list.clone(),
                list,
                method: Method::PUT,
                header: "private-token",
                token,
            }));
        }
        let Some(event) = said("GITHUB_EVENT_PATH") else { return Ok(None) };
        let event = std::fs::read(&event).with_context(|| format!("cannot read {event}"))?;
        let event: Value = serde_json::from_slice(&event).context("GITHUB_EVENT_PATH is not JSON")?;
        let Some(number) = event["pull_request"]["number"].as_u64() else { return Ok(None) };
        let api = said("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned());
        let issues = format!("{api}/repos/{}/issues", needed("GITHUB_REPOSITORY")?);
        let token =
            needed("GITHUB_TOKEN").context("a token with `pull-requests: write` writes the comment")?;
        Ok(Some(Place {
            client,
            list: format!("{issues}/{number}/comments"),
            one: format!("{issues}/comments"),
            method: Method::PATCH,
            header: "authorization",
            token: format!("Bearer {token}"),
        }))
    }

    fn request(&self, method: Method, url: String) -> RequestBuilder {
        let request = self.client.request(method, url).header(self.header, &self.token);
        request.header("accept", "application/json").header("content-type", "application/json")
    }

    /// Looks for the comment that begins with a mark.
    async fn with_mark(&self, mark: &str) -> Result<Option<u64>> {
        for page in 1..=PAGES {
            let url = format!("{}?per_page=100&page={page}", self.list);
            let comments =
                answer(self.request(Method::GET, url)).await.context("the comments cannot be listed")?;
            let comments = comments.as_array().context("the comments are not a list")?;
            let is_it =
                |comment: &&Value| comment["body"].as_str().is_some_and(|body| body.starts_with(mark));
            if let Some(found) = comments.iter().find(is_it) {
                return Ok(found["id"].as_u64());
            }
            if comments.len() < 100 {
                break;
            }
        }
        Ok(None)
    }
}

/// Sends a request and reads its answer, which must be one that says yes.
async fn answer(request: RequestBuilder) -> Result<Value> {
    let mut response = request.send().await.map_err(reqwest::Error::without_url).context("no answer")?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            bail!("the answer is longer than {LARGEST} bytes");
        }
    }
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if !status.is_success() {
        let why = output::short(&output::plain(value["message"].as_str().unwrap_or_default()), 200);
        let hint = match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => {
                "; the token may not write comments here, as in a pull request from a fork"
            }
            _ => "",
        };
        bail!("the answer is {status} {why}{hint}");
    }
    Ok(value)
}

/// Writes the comment, or brings the one that is there up to date. Where nothing failed and none is there, there will be none.
pub(super) async fn post(reports: &[Report], key: Option<&str>) -> Result<()> {
    let Some(place) = Place::find()? else {
        output::note("no comment is written: the job belongs to no pull request");
        return Ok(());
    };
    let mark = mark(key);
    let there = place.with_mark(&mark).await?;
    let is_fine = reports.iter().all(Report::is_fine);
    if is_fine && there.is_none() {
        return Ok(());
    }
    let body = serde_json::to_vec(&json!({ "body": body(&mark, reports) }))?;
    let request = match there {
        Some(id) => place.request(place.method.clone(), format!("{}/{id}", place.one)),
        None => place.request(Method::POST, place.list.clone()),
    };
    answer(request.body(body)).await.context("the comment cannot be written")?;
    Ok(())
}

/// The first line of the comment, which nobody sees: jobs with different keys have comments of their own.
fn mark(key: Option<&str>) -> String {
    let of_job = || {
        let parts = [said("GITHUB_WORKFLOW"), said("GITHUB_JOB"), said("CI_JOB_NAME")];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    };
    let key: String = key.map_or_else(of_job, str::to_owned);
    let safe = |c: char| if c.is_alphanumeric() || "/._ ".contains(c) { c } else { '_' };
    format!("<!-- rig: {} -->", key.chars().map(safe).take(200).collect::<String>())
}

/// The comment.
fn body(mark: &str, reports: &[Report]) -> String {
    let failed = reports.iter().filter(|report| report.failed()).count();
    let mut body = format!("{mark}\n### rig: {}", output::count(reports.len() as u64, "recording"));
    let in_doubt = reports.iter().filter(|report| !report.failed() && !report.is_fine()).count();
    body.push_str(&match (failed, in_doubt) {
        (0, 0) => ", nothing failed\n".to_owned(),
        (failed, 0) => format!(", {failed} failed\n"),
        (failed, doubt) => format!(", {failed} failed, {doubt} could not be read to the end\n"),
    });
    let told: Vec<&Report> = reports.iter().filter(|report| !report.is_fine()).collect();
    for report in told.iter().take(RECORDINGS) {
        let part = part(report);
        if body.len() + part.len() > LONGEST {
            body.push_str("\nThe rest is on the summary of the job.\n");
            break;
        }
        body.push_str(&part);
    }
    if told.len() > RECORDINGS {
        let _ = writeln!(body, "\nand {} more", told.len() - RECORDINGS);
    }
    if let Some(job) = job() {
        let _ = writeln!(body, "\n[The job, with its summary and the recording]({job})");
    }
    body
}

/// Describes one recording.
fn part(report: &Report) -> String {
    let mut part = format!("\n**{}**", html(&report.name));
    match &report.explained {
        Err(error) => {
            let _ = writeln!(part, " cannot be read: {}", html(&output::short(error, 300)));
        }
        Ok(it) => {
            let _ = writeln!(part, ": {}\n", html(&it.outcome));
            if let Some(first) = first_failure(it) {
                let _ = writeln!(part, "First failure: {}", html(&output::short(&first, 500)));
            }
            let changes = &it.changes.items;
            // The nearest change of a service that has a part in it, or else the nearest.
            let is_change = |change: &&ConfigChange| change.path.is_some();
            let change = changes.iter().filter(is_change).find(|change| change.involved);
            if let Some(change) = change.or_else(|| changes.iter().find(is_change)) {
                let _ = writeln!(part, "\nThe change before it: {}", changed(change));
            }
            if let Some(doubt) = &report.doubt {
                let _ = writeln!(part, "\n{}", html(doubt));
            }
            if report.failed()
                && let Some(brief) = &report.brief
            {
                let text = explain::markdown(brief);
                let _ =
                    writeln!(part, "\n<details><summary>More</summary>\n\n{}\n\n</details>", text.trim_end());
            }
        }
    }
    part
}

fn changed(change: &ConfigChange) -> String {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "absent".to_owned(), output::value);
    let path = change.path.as_deref().unwrap_or_default();
    let mut text = format!("{} {path}: {} → {}", change.service, value(&change.before), value(&change.after));
    if let Some(who) = &change.who {
        let _ = write!(text, " by {who}");
    }
    let plain = anstream::adapter::strip_str(&text).to_string();
    format!("{} (seq {})", html(&output::short(&plain, 500)), change.seq)
}

/// The address of the job.
fn job() -> Option<String> {
    let github = || {
        let (server, repository) = (said("GITHUB_SERVER_URL")?, said("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", said("GITHUB_RUN_ID")?))
    };
    let job = said("CI_JOB_URL").or_else(github)?;
    job.chars().all(|c| c.is_ascii_graphic() && !"()<>".contains(c)).then_some(job)
}
