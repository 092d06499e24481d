// Renders /openapi.json: every operation with its parameters, body and answers.
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};

const resolve = (api, node) => {
  if (!node?.$ref) return node ?? {};
  return node.$ref.slice(2).split("/").reduce((at, key) => at?.[key], api) ?? {};
};

const nameOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return `array of ${nameOf(schema.items) || "values"}`;
  return [schema.type ?? "object"].flat().join(" or ");
};

const schemaLink = (schema) => {
  const inner = schema?.type === "array" ? schema.items : schema;
  if (!inner?.$ref) return make("span", nameOf(schema));
  const link = make("a", nameOf(schema));
  link.href = `#schema-${nameOf(inner)}`;
  return link;
};

const limitsOf = (schema) => {
  const words = [];
  if (schema.format) words.push(schema.format);
  if (schema.enum) words.push(schema.enum.join(" | "));
  if (schema.pattern) words.push(schema.pattern);
  for (const name of ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "default"]) {
    if (schema[name] !== undefined) words.push(`${name} ${schema[name]}`);
  }
  return words.join(", ");
};

const table = (heads, rows) => {
  const element = make("table");
  const head = element.createTHead().insertRow();
  for (const text of heads) {
    const cell = make("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = element.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    for (const cell of cells) row.insertCell().append(cell);
  }
  return element;
};

const schemaTable = (api, schema) => {
  const resolved = resolve(api, schema);
  if (!resolved.properties) return make("pre", JSON.stringify(resolved, null, 2));
  const rows = Object.entries(resolved.properties).map(([name, property]) => {
    const whole = resolve(api, property);
    const about = [whole.description, limitsOf(whole)].filter(Boolean).join(" · ");
    return [name + (resolved.required?.includes(name) ? " *" : ""), schemaLink(property), about];
  });
  return table(["Field", "Type", "Meaning"], rows);
};

const operationBox = (api, path, method, operation, shared) => {
  const box = make("details");
  box.id = operation.operationId ?? `${method}${path}`;
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), "method"), make("span", path, "path"));
  summary.append(make("span", operation.summary ?? operation.operationId ?? ""));
  box.append(summary);
  const open = operation.security?.length === 0 ? "Allowed: anyone." : "";
  if (operation.description || open) box.append(make("p", operation.description ?? open));
  const parameters = [...(shared ?? []), ...(operation.parameters ?? [])].map((one) => resolve(api, one));
  if (parameters.length) {
    const rows = parameters.map((one) => {
      const about = [one.description, limitsOf(resolve(api, one.schema))].filter(Boolean).join(" · ");
      return [one.name + (one.required ? " *" : ""), one.in, about];
    });
    box.append(make("h4", "Parameters"), table(["Name", "In", "Meaning"], rows));
  }
  for (const [kind, content] of Object.entries(resolve(api, operation.requestBody).content ?? {})) {
    const head = make("h4", "Body: ");
    head.append(schemaLink(content.schema), ` (${kind})`);
    box.append(head, schemaTable(api, content.schema));
  }
  const rows = Object.entries(operation.responses).map(([status, reference]) => {
    const answer = resolve(api, reference);
    const [content] = Object.values(answer.content ?? {});
    return [status, content ? schemaLink(content.schema) : "", answer.description ?? ""];
  });
  box.append(make("h4", "Answers"), table(["Status", "Body", "Meaning"], rows));
  return box;
};

const render = (api) => {
  document.getElementById("about").textContent = `Version ${api.info.version}. ${api.info.description ?? ""}`;
  const main = document.getElementById("operations");
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!operation.responses) continue;
      const name = operation.tags?.[0] ?? "others";
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(operationBox(api, path, method, operation, methods.parameters));
    }
  }
  const schemas = Object.entries(api.components?.schemas ?? {}).map(([name, schema]) => {
    const box = make("details");
    box.id = `schema-${name}`;
    box.append(make("summary", name));
    if (schema.description) box.append(make("p", schema.description));
    box.append(schemaTable(api, schema));
    return box;
  });
  groups.set("schemas", schemas);
  for (const [name, boxes] of groups) {
    const group = make("section");
    group.append(make("h2", name), ...boxes);
    main.append(group);
  }
  follow();
};

// A link to a schema or an operation opens it.
const follow = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  document.getElementById("find").value = "";
  show("");
  target.open = true;
  target.scrollIntoView();
};

const show = (word) => {
  for (const group of document.querySelectorAll("#operations > section")) {
    const boxes = [...group.querySelectorAll("details")];
    for (const box of boxes) box.hidden = !box.textContent.toLowerCase().includes(word);
    group.hidden = boxes.every((box) => box.hidden);
  }
};

window.addEventListener("hashchange", follow);
document.getElementById("find").addEventListener("input", (event) => show(event.target.value.toLowerCase()));

fetch("/openapi.json").then((answer) => answer.json()).then(render).catch((error) => {
  document.getElementById("about").textContent = `The description could not be loaded: ${error}`;
});
