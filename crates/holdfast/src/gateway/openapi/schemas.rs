//! Every named schema of the document. The contract's tests hold each answer of the server against them, the fuzzer
//! each request; a field that an answer shows and its schema does not name fails there.

use holdfast_bus::ENVELOPE_COMMANDS_MAX;
use holdfast_domain::Currency;
use serde_json::{Map, Value, json};

use super::shapes::*;

pub fn all() -> Map<String, Value> {
    let parts = [common(), accounts(), items(), stock(), orders(), holds(), log(), operations()];
    parts.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Named = Vec<(&'static str, Value)>;

fn common() -> Named {
    let currencies: Vec<String> = Currency::all().map(|currency| currency.as_str().to_owned()).collect();
    // Not an enumeration: clients should not have to be built again for a new currency.
    let currency = about("ISO 4217", pattern(&format!("^({})$", currencies.join("|"))));
    let price = about("Minor units", between(0, holdfast_domain::values::AMOUNT_MAX));
    let problem = answer([
        ("type", text()),
        ("title", text()),
        ("status", between(100, 599)),
        ("detail", text()),
        ("code", about("Machine word", text())),
        ("trace_id", text()),
        ("errors?", list(known("FieldError"))),
        ("shortages?", list(known("Shortage"))),
        ("order_id?", uuid()),
    ]);
    // Each code may bring members of its own, such as the version that is current.
    let problem = about("RFC 9457 problem details", open(problem));
    vec![
        ("Currency", currency),
        ("Money", request([("amount", price), ("currency", known("Currency"))])),
        ("Total", answer([("amount", about("Minor units", count())), ("currency", known("Currency"))])),
        ("FieldError", answer([("field", text()), ("message", text())])),
        ("Shortage", answer([("sku", sku()), ("requested", units()), ("available", units())])),
        ("Problem", problem),
    ]
}

fn accounts() -> Named {
    let account = answer([
        ("id", uuid()),
        ("username", about("Of an API key, its name", text())),
        ("role", known("Role")),
        ("disabled?", boolean()),
        ("created_at?", time()),
    ]);
    let key_name =
        json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]([ -~]*[!-~])?$" });
    let key_name = about("1 to 64 characters; others than these may do too", key_name);
    let key = answer([
        ("id", uuid()),
        ("name", text()),
        ("role", known("Role")),
        ("key?", about("Shown once, at creation", text())),
        ("created_at", time()),
    ]);
    vec![
        ("Role", one_of(&["customer", "staff", "admin", "service"])),
        ("Account", account),
        ("AccountPage", page("Account")),
        ("Credentials", request([("username", pattern(CODE)), ("password", password())])),
        ("SignIn", request([("username", text()), ("password", text())])),
        ("AccountPatch", not_empty(request([("role?", known("Role")), ("disabled?", boolean())]))),
        ("PasswordChange", request([("current_password", text()), ("new_password", password())])),
        ("Session", answer([("token", text()), ("expires_at", time()), ("account", known("Account"))])),
        ("ApiKey", key),
        ("ApiKeyPage", page("ApiKey")),
        ("NewApiKey", request([("name", key_name), ("role", known("Role"))])),
    ]
}

fn items() -> Named {
    let status = || one_of(&["active", "archived"]);
    let path_sku = || about("May repeat the path's", pattern(CODE));
    let item = answer([
        ("sku", sku()),
        ("brand", text()),
        ("model", text()),
        ("description", text()),
        ("image_url", nullable(text())),
        ("price", known("Money")),
        ("attributes", json!({ "type": "object", "additionalProperties": { "type": "string" } })),
        ("status", status()),
        ("available", units()),
        ("in_stock", boolean()),
        ("max_per_order?", quantity()),
        ("version", count()),
    ]);
    let new = request([
        ("sku?", nullable(sku())),
        ("brand", name()),
        ("model", name()),
        ("description?", long_text()),
        ("price", known("Money")),
        ("image_url?", nullable(image_url())),
        ("attributes?", attributes()),
        ("max_per_order?", nullable(quantity())),
        ("stock?", list(known("InitialStock"))),
    ]);
    let update = request([
        ("sku?", nullable(path_sku())),
        ("brand", name()),
        ("model", name()),
        ("description", long_text()),
        ("price", known("Money")),
        ("image_url?", nullable(image_url())),
        ("attributes?", attributes()),
        ("max_per_order?", nullable(quantity())),
        ("status?", nullable(status())),
    ]);
    let patch = request([
        ("sku?", path_sku()),
        ("brand?", name()),
        ("model?", name()),
        ("description?", nullable(long_text())),
        ("price?", known("Money")),
        ("image_url?", nullable(image_url())),
        ("attributes?", nullable(attributes())),
        ("max_per_order?", nullable(quantity())),
        ("status?", status()),
    ]);
    let first_stock = request([
        ("location", location()),
        ("quantity", units_in()),
        ("safety_stock?", nullable(units_in())),
        ("reorder_point?", nullable(units_in())),
    ]);
    let range = answer([
        ("from", about("Minor units, inclusive", count())),
        ("to", nullable(about("Minor units, exclusive; null: no upper end", count()))),
        ("count", count()),
    ]);
    let locations = page("Location");
    let page = answer([
        ("items", list(known("Item"))),
        ("next_cursor", nullable(text())),
        ("facets", known("Facets")),
        ("total", about("Items that match", count())),
    ]);
    let code = location;
    let location = |field: &'static str| {
        request([
            (field, code()),
            ("name", name()),
            ("priority", between(i32::MIN.into(), i32::MAX.into())),
            ("latitude?", nullable(degrees(90))),
            ("longitude?", nullable(degrees(180))),
        ])
    };
    let shown_location = answer([
        ("code", code()),
        ("name", name()),
        ("priority", between(i32::MIN.into(), i32::MAX.into())),
        ("latitude?", degrees(90)),
        ("longitude?", degrees(180)),
        ("version", count()),
    ]);
    vec![
        ("Item", item),
        ("FacetValue", answer([("value", text()), ("count", count())])),
        ("FacetRange", range),
        ("Facets", answer([("brand", list(known("FacetValue"))), ("price", list(known("FacetRange")))])),
        ("ItemPage", page),
        ("InitialStock", first_stock),
        ("NewItem", new),
        ("ItemUpdate", update),
        ("ItemPatch", patch),
        ("NewLocation", location("code")),
        ("LocationUpdate", location("code?")),
        ("Location", shown_location),
        ("LocationPage", locations),
    ]
}

fn stock() -> Named {
    let stock_location = answer([
        ("location", location()),
        ("on_hand", units()),
        ("held", units()),
        ("allocated", units()),
        ("unavailable", units()),
        ("safety_stock", units()),
        ("available", units()),
        ("shortage", units()),
        ("incoming", units()),
        ("reorder_point", units()),
    ]);
    let stock = answer([
        ("sku", sku()),
        ("on_hand", units()),
        ("held", units()),
        ("allocated", units()),
        ("unavailable", units()),
        ("safety_stock", units()),
        ("available", units()),
        ("shortage", units()),
        ("incoming", units()),
        ("locations", list(known("StockLocation"))),
        ("position", position()),
    ]);
    let kinds = "receipt, adjustment, count, transfer, fulfilment, return, …";
    let movement = answer([
        ("position", position()),
        ("at", time()),
        ("kind", about(kinds, text())),
        ("sku", sku()),
        ("location", location()),
        ("delta", about("Units; negative when goods leave", whole())),
        ("quantity", about("Units that the change was about", whole())),
        ("on_hand_after", units()),
        ("actor", about("Who, for people", text())),
        ("actor_id", text()),
        ("reason?", text()),
        ("note?", text()),
        ("order_id?", uuid()),
        ("movements?", about("All of them, where one change makes several", list(known("Movement")))),
    ]);
    let reasons = one_of(&["damage", "loss", "found", "correction", "other"]);
    let adjustment = request([
        ("sku", sku()),
        ("location", location()),
        ("delta", delta()),
        ("reason", reasons),
        ("note?", nullable(long_text())),
    ]);
    let receipt = request([
        ("sku", sku()),
        ("location", location()),
        ("quantity", quantity()),
        ("reference?", nullable(name())),
    ]);
    let transfer =
        request([("sku", sku()), ("from", location()), ("to", location()), ("quantity", quantity())]);
    let unavailable =
        request([("sku", sku()), ("location", location()), ("delta", delta()), ("reason", name())]);
    let incoming = request([
        ("sku", sku()),
        ("location", location()),
        ("delta", delta()),
        ("expected_at?", nullable(time())),
    ]);
    let skus = list_between(1, crate::gateway::stock::QUERY_SKUS_MAX, sku());
    let unknown = about("SKUs asked for that do not exist", list(text()));
    vec![
        ("StockLocation", stock_location),
        ("Stock", stock),
        ("StockPage", page("Stock")),
        ("StockQuery", request([("skus", skus)])),
        ("StockList", answer([("items", list(known("Stock"))), ("unknown", unknown)])),
        ("Movement", movement),
        ("MovementPage", page("Movement")),
        ("Receipt", receipt),
        ("Adjustment", adjustment),
        ("Count", request([("sku", sku()), ("location", location()), ("counted", units_in())])),
        ("Transfer", transfer),
        ("UnavailableChange", unavailable),
        ("IncomingChange", incoming),
        ("Levels", request([("safety_stock", units_in()), ("reorder_point", units_in())])),
    ]
}

fn orders() -> Named {
    let order = answer([
        ("id", uuid()),
        ("status", known("OrderStatus")),
        ("customer", nullable(text())),
        ("lines", list(known("OrderLine"))),
        ("total?", nullable(known("Total"))),
        ("placed_at", time()),
        ("position?", position()),
        ("progress?", known("OrderProgress")),
        ("shortages?", list(known("Shortage"))),
        ("code?", about("Why it was rejected", text())),
        ("placed_by?", about("The account or program that placed it", text())),
    ]);
    let line = answer([
        ("sku", sku()),
        ("quantity", quantity()),
        ("unit_price?", known("Money")),
        ("allocations", list(known("Allocation"))),
    ]);
    let allocation = answer([
        ("location", location()),
        ("quantity", quantity()),
        ("fulfilled?", units()),
        ("returned?", units()),
    ]);
    let progress = answer([("ordered", units()), ("fulfilled", units()), ("returned", units())]);
    let new = request([
        ("id?", nullable(uuid())),
        ("customer?", nullable(customer())),
        ("lines", lines("Line")),
        ("ship_to?", nullable(known("ShipTo"))),
        ("allow_partial?", boolean()),
    ]);
    let result = answer([
        ("id", uuid()),
        ("status", one_of(&["accepted", "rejected", "invalid", "pending"])),
        ("code?", text()),
        ("detail?", text()),
        ("errors?", list(known("FieldError"))),
        ("shortages?", list(known("Shortage"))),
        ("total?", known("Total")),
        ("position?", position()),
    ]);
    // One order that does not fit is answered among the others, and does not spoil them.
    let batch = list_between(
        1,
        ENVELOPE_COMMANDS_MAX,
        json!({ "description": "A NewOrder; each is judged on its own" }),
    );
    let located = request([("sku", sku()), ("quantity", quantity()), ("location?", nullable(location()))]);
    let located_lines = || nullable(lines("LocatedLine"));
    let disposition = one_of(&["restock", "unavailable"]);
    let states = ["pending", "accepted", "rejected", "fulfilled", "cancelled", "returned"];
    vec![
        ("Line", request([("sku", sku()), ("quantity", quantity())])),
        ("Allocation", allocation),
        ("OrderLine", line),
        ("OrderStatus", one_of(&states)),
        ("OrderProgress", about("Units", progress)),
        ("Order", order),
        ("OrderPage", page("Order")),
        ("ShipTo", request([("latitude", degrees(90)), ("longitude", degrees(180))])),
        ("NewOrder", new),
        ("OrderBatch", request([("orders", batch)])),
        ("BatchResult", result),
        ("OrderBatchResult", answer([("results", list(known("BatchResult")))])),
        ("LocatedLine", located),
        ("Fulfilment", request([("lines?", located_lines())])),
        ("Return", request([("lines?", located_lines()), ("disposition", disposition)])),
    ]
}

fn holds() -> Named {
    let new = request([
        ("id?", nullable(uuid())),
        ("customer?", nullable(customer())),
        ("lines", lines("Line")),
        ("ship_to?", nullable(known("ShipTo"))),
        ("ttl_seconds", ttl_seconds()),
    ]);
    let hold = answer([
        ("id", uuid()),
        ("status", known("HoldStatus")),
        ("customer", nullable(text())),
        ("lines", list(known("OrderLine"))),
        ("total?", known("Total")),
        ("placed_at", time()),
        ("expires_at", time()),
        ("first_expires_at?", time()),
        ("position?", position()),
        ("placed_by?", text()),
    ]);
    vec![
        ("HoldStatus", one_of(&["held", "confirmed", "released", "expired"])),
        ("NewHold", new),
        ("HoldExtension", request([("ttl_seconds", ttl_seconds())])),
        ("Hold", hold),
        ("HoldPage", page("Hold")),
    ]
}

/// Commands and events.
fn log() -> Named {
    let pending = answer([("id?", uuid()), ("command_id?", uuid()), ("status", one_of(&["pending"]))]);
    let outcome = answer([
        ("id", uuid()),
        ("ok?", boolean()),
        ("status?", text()),
        ("code?", text()),
        ("detail?", text()),
        ("position?", position()),
    ]);
    let event = answer([
        ("specversion", text()),
        ("id", text()),
        ("source", text()),
        ("type", text()),
        ("subject?", nullable(text())),
        ("time", time()),
        ("sequence", position()),
        ("dataschema", text()),
        ("datacontenttype", text()),
        ("data", json!({ "type": "object" })),
    ]);
    let event_page = answer([
        ("items", list(known("Event"))),
        ("next_cursor", nullable(text())),
        ("position", about("How far the search has come", text())),
    ]);
    let url = || json!({ "type": "string", "format": "uri" });
    let webhook = answer([
        ("id", uuid()),
        ("url", url()),
        ("kinds", list(text())),
        ("secret?", about("Shown once", text())),
        ("created_at?", time()),
    ]);
    vec![
        ("Pending", pending),
        // What was decided is beside these: an order, a hold, an item, movements, or what a refusal says.
        ("Outcome", open(outcome)),
        ("Event", about("CloudEvents 1.0", event)),
        ("EventPage", event_page),
        ("Webhook", webhook),
        ("NewWebhook", request([("url", url()), ("kinds", list(text()))])),
        ("WebhookPage", page("Webhook")),
    ]
}

/// What the people who run it look at.
fn operations() -> Named {
    let import = answer([
        ("id", uuid()),
        ("status", one_of(&["running", "done", "failed"])),
        ("dry_run", boolean()),
        ("rows_read", count()),
        ("rows_applied", count()),
        ("rows_failed", count()),
        ("bytes_read", count()),
        ("items_added", count()),
        ("items_updated", count()),
        ("errors", list(known("RowError"))),
        ("errors_left_out", count()),
        ("stopped", boolean()),
        ("started_at", time()),
        ("finished_at", nullable(time())),
        ("detail?", text()),
        ("position?", position()),
    ]);
    let dead_letter = answer([
        ("id", text()),
        ("at", time()),
        ("error", text()),
        ("routing_key", text()),
        ("kind?", nullable(text())),
        ("command_id?", nullable(text())),
        ("body", about("The command as it came", text())),
    ]);
    let point = answer([
        ("at", time()),
        ("orders_per_second", number()),
        ("units_per_second", number()),
        ("rejected_per_second", number()),
        ("p50_ms", nullable(number())),
        ("p99_ms", nullable(number())),
    ]);
    let latency =
        answer([("p50_ms", number()), ("p90_ms", number()), ("p99_ms", number()), ("max_ms", number())]);
    let stats = answer([
        ("window_seconds", count()),
        ("orders_per_second", number()),
        ("orders", count()),
        ("rejected", count()),
        ("units", units()),
        ("latency", known("Latency")),
        ("hottest", list(known("HotSku"))),
        ("series", list(known("StatsPoint"))),
    ]);
    let up = || one_of(&["up", "down"]);
    let instance = answer([("id", text()), ("status", up()), ("since", time()), ("last_seen", time())]);
    let rate = || nullable(about("Messages a second; null where no broker counts them", number()));
    let queue = answer([
        ("name", text()),
        ("consumers", count()),
        ("ready", count()),
        ("unacked", count()),
        ("publish_rate", rate()),
        ("deliver_rate", rate()),
    ]);
    let audit = answer([
        ("oversold", units()),
        ("verified_position", position()),
        ("verified_at", nullable(time())),
        ("finding?", about("The first thing found wrong; absent: nothing", text())),
    ]);
    let health = answer([
        ("status", one_of(&["up", "degraded", "down"])),
        ("roles", list(known("RoleHealth"))),
        ("queues", list(known("QueueHealth"))),
        ("stores", list(known("StoreHealth"))),
        ("lag", known("Lag")),
        ("dead_letters", count()),
        ("audit", known("Audit")),
        ("incidents", list(known("Incident"))),
        ("at?", about("When the monitor looked; absent before it ever did", time())),
    ]);
    vec![
        ("RowError", answer([("line", count()), ("column?", text()), ("message", text())])),
        ("ImportJob", import),
        ("DeadLetter", dead_letter),
        ("DeadLetterPage", page("DeadLetter")),
        ("HotSku", answer([("sku", sku()), ("units", units()), ("orders", count())])),
        ("StatsPoint", point),
        ("Latency", latency),
        ("Stats", stats),
        ("Instance", instance),
        ("RoleHealth", answer([("role", text()), ("instances", list(known("Instance")))])),
        ("QueueHealth", queue),
        ("StoreHealth", answer([("name", text()), ("status", up()), ("latency_ms", nullable(number()))])),
        ("Lag", answer([("relay_events", count()), ("read_model_events", count())])),
        ("Audit", audit),
        ("Incident", answer([("what", text()), ("from", time()), ("to", nullable(time()))])),
        ("Health", health),
        ("Readiness", answer([("status", up()), ("failing?", list(text()))])),
    ]
}
