
"use strict";
// Everything that comes from the recording is put into the page as text.
(async () => {
  const byId = (id) => document.getElementById(id);
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = String(text);
    if (className) made.className = className;
    return made;
  };
  const row = (cells, className) => {
    const made = element("tr", null, className);
    for (const [text, kind] of cells) made.append(element("td", text, kind));
    return made;
  };

  const read = async () => {
    const packed = Uint8Array.from(atob(byId("data").textContent), (c) => c.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(unpacked).text());
  };

  const showLeftOut = ({ events, states, changes, failures }) => {
    const parts = [[events, "events"], [states, "states"], [changes, "events that speak of configs"], [failures, "failures"]];
    const said = parts.filter(([n]) => n > 0).map(([n, what]) => n + " " + what);
    byId("left-out").textContent = said.length ? "Left out of this report: " + said.join(", ") + "." : "Nothing was left out of the timeline.";
  };

  const shown = (value) => value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);

  const showChanges = (changes) => {
    if (!changes.length) byId("changes").append(row([["", ""], ["none", ""]]));
    for (const change of changes) {
      const field = change.path ?? (change.kind + " " + (change.what ?? ""));
      const cells = [change.seq, change.service, field, shown(change.before), shown(change.after), change.severity, change.who];
      byId("changes").append(row(cells.map((text, i) => [text, i === 0 ? "seq" : ""])));
    }
  };

  const showStates = (moments) => {
    const known = moments.filter((moment) => moment.state);
    if (!known.length) {
      byId("state").textContent = "There is no failure and no change whose state would be shown.";
      return;
    }
    const option = (moment, i) => {
      const made = element("option", moment.seq + "  " + moment.kind + ": " + moment.title);
      made.value = String(i);
      return made;
    };
    const [picked, other] = [byId("moment"), byId("other")];
    known.forEach((moment, i) => { picked.append(option(moment, i)); other.append(option(moment, i)); });
    const failure = known.findIndex((moment) => moment.kind === "failure");
    picked.value = String(failure < 0 ? known.length - 1 : failure);
    const before = known.findIndex((moment) => moment.kind === "before");
    other.value = String(before < 0 ? Math.max(0, Number(picked.value) - 1) : before);
    const draw = () => {
      const [now, then] = [known[Number(picked.value)].state, known[Number(other.value)].state];
      const only = byId("differing").checked;
      const body = byId("state");
      body.replaceChildren();
      const names = [...new Set([...Object.keys(now), ...Object.keys(then)])].sort();
      for (const name of names) {
        const [mine, its] = [now[name] ?? { config: {} }, then[name] ?? { config: {} }];
        const rows = [];
        const paths = [...new Set([...Object.keys(mine.config), ...Object.keys(its.config)])].sort();
        for (const path of paths) {
          const differs = mine.config[path] !== its.config[path];
          if (only && !differs) continue;
          const cells = [[path, ""], [mine.config[path] ?? "(absent)", ""], [differs ? its.config[path] ?? "(absent)" : "", ""]];
          rows.push(row(cells, differs ? "differs" : ""));
        }
        if (only && !rows.length && mine.status === its.status) continue;
        body.append(element("h3", name + (mine.status ? ": " + mine.status : "")));
        const table = element("table");
        const head = element("tr");
        for (const title of ["field", "value", "in the other"]) head.append(element("th", title));
        table.append(head, ...rows);
        body.append(table);
      }
      if (!body.children.length) body.textContent = names.length ? "Nothing differs." : "No service has a state there.";
    };
    for (const control of [picked, other, byId("differing")]) control.addEventListener("change", draw);
    draw();
  };

  const showStrip = (events, moments) => {
    const canvas = byId("strip");
    const pen = canvas.getContext("2d");
    if (!events.length || !pen) return;
    const at = (text) => Date.parse(text);
    const [from, to] = [at(events[0].ts), at(events[events.length - 1].ts)];
    const x = (ts) => to > from ? Math.round((at(ts) - from) / (to - from) * (canvas.width - 2)) : 0;
    const changed = new Set(moments.filter((moment) => moment.kind === "change").map((moment) => moment.seq));
    const mark = (event, colour, top) => { pen.fillStyle = colour; pen.fillRect(x(event.ts), top, 2, canvas.height - top); };
    for (const event of events) mark(event, "#8886", 18);
    for (const event of events) if (changed.has(event.seq)) mark(event, "#1a66c9", 8);
    for (const event of events) if (event.failure) mark(event, "#c5221f", 0);
  };

  const showEvents = (events) => {
    const STEP = 500;
    let wanted = events;
    let drawn = 0;
    const more = () => {
      for (const event of wanted.slice(drawn, drawn + STEP)) {
        const cells = [[event.seq, "seq"], [event.ts.slice(11, 23), "time"], [event.type, ""], [event.about, ""], [event.text, ""]];
        byId("events").append(row(cells, event.failure ? "failure" : ""));
      }
      drawn = Math.min(wanted.length, drawn + STEP);
      byId("next").hidden = drawn >= wanted.length;
      byId("count").textContent = drawn + " of " + wanted.length + " events";
    };
    const filter = () => {
      const text = byId("text").value.toLowerCase();
      const only = byId("failures").checked;
      const holds = (event) => [event.type, event.about, event.text].some((part) => part.toLowerCase().includes(text));
      wanted = events.filter((event) => (!only || event.failure) && (!text || holds(event)));
      drawn = 0;
      byId("events").replaceChildren();
      more();
    };
    byId("next").addEventListener("click", more);
    byId("text").addEventListener("input", filter);
    byId("failures").addEventListener("change", filter);
    more();
  };

  try {
    const data = await read();
    showLeftOut(data.left_out);
    showChanges(data.changes);
    showStates(data.moments);
    showStrip(data.events, data.moments);
    showEvents(data.events);
    byId("more").hidden = false;
  } catch (error) {
    byId("trouble").textContent = "The timeline and the states cannot be shown: " + error;
  }
})();
