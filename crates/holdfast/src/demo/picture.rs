//! Draws a watch from its attributes: strap, case, bezel, dial, markers, hands. Plain SVG, nothing fetched, no scripts,
//! and the same bytes for the same watch each time.

use std::f64::consts::PI;
use std::fmt::Write;

use holdfast_domain::command::AddItem;

use super::digital::digital;
use super::look::{Band, GOLD, Look, Style};

/// The middle of the dial; the picture is 400 by 480.
pub const X: f64 = 200.0;
pub const Y: f64 = 240.0;

pub fn draw(item: &AddItem) -> String {
    let attribute =
        |name: &str| item.attributes.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value);
    let look = Look::of(item.brand.as_str(), attribute("style"), attribute("dial"), attribute("strap"));
    let millimetres: f64 = attribute("case_mm").parse().unwrap_or(40.0);
    // 28 to 50 mm become 92 to 130 units: small watches look small, none gets lost.
    let radius = 92.0 + (millimetres.clamp(28.0, 50.0) - 28.0) * 1.7;
    let mut svg = String::with_capacity(12_000);
    let label = escape(&format!("{} {}", item.brand.as_str(), item.model.as_str()));
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 480\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>"
    );
    definitions(&mut svg, &look);
    let _ = write!(
        svg,
        "<rect width=\"400\" height=\"480\" fill=\"url(#ground)\"/><ellipse cx=\"212\" cy=\"256\" rx=\"{0:.0}\" ry=\"{0:.0}\" fill=\"#000\" opacity=\".16\" filter=\"url(#soft)\"/>",
        radius * 1.08
    );
    strap(&mut svg, &look, radius);
    let sku = item.sku.as_ref().map_or("", |sku| sku.as_str());
    match look.style {
        Style::Digital => digital(&mut svg, &look, radius, item.brand.as_str(), sku),
        Style::Field
        | Style::Pilot
        | Style::Diver
        | Style::Gmt
        | Style::Chronograph
        | Style::Dress
        | Style::Minimal
        | Style::Moonphase
        | Style::Skeleton
        | Style::Jewel => analogue(&mut svg, &look, radius, item.brand.as_str(), sku),
    }
    svg.push_str("</svg>");
    svg
}

fn definitions(svg: &mut String, look: &Look) {
    let [light, middle, dark] = look.case;
    let _ = write!(
        svg,
        "<defs><linearGradient id=\"ground\" x2=\"0\" y2=\"1\"><stop stop-color=\"#f7f6f3\"/><stop offset=\"1\" stop-color=\"#e4e2dc\"/></linearGradient>\
         <linearGradient id=\"case\" x2=\"1\" y2=\"1\"><stop stop-color=\"{light}\"/><stop offset=\".45\" stop-color=\"{middle}\"/><stop offset=\".6\" stop-color=\"{light}\"/><stop offset=\"1\" stop-color=\"{dark}\"/></linearGradient>\
         <linearGradient id=\"rim\" x1=\"1\" y1=\"1\" x2=\"0\" y2=\"0\"><stop stop-color=\"{light}\"/><stop offset=\"1\" stop-color=\"{dark}\"/></linearGradient>\
         <radialGradient id=\"dial\" cx=\".42\" cy=\".36\" r=\".75\"><stop stop-color=\"{}\"/><stop offset=\"1\" stop-color=\"{}\"/></radialGradient>\
         <linearGradient id=\"strap\"><stop stop-color=\"{2}\"/><stop offset=\".25\" stop-color=\"{3}\"/><stop offset=\".75\" stop-color=\"{3}\"/><stop offset=\"1\" stop-color=\"{2}\"/></linearGradient>\
         <linearGradient id=\"shine\" x2=\".7\" y2=\"1\"><stop stop-color=\"#fff\" stop-opacity=\".38\"/><stop offset=\".5\" stop-color=\"#fff\" stop-opacity=\"0\"/></linearGradient>\
         <pattern id=\"mesh\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 3 3 0 6 3 3 6Z\" fill=\"none\" stroke=\"{2}\" stroke-width=\"1\"/></pattern>\
         <filter id=\"soft\" x=\"-20%\" y=\"-20%\" width=\"140%\" height=\"140%\"><feGaussianBlur stdDeviation=\"9\"/></filter>\
         <filter id=\"drop\" x=\"-30%\" y=\"-30%\" width=\"160%\" height=\"160%\"><feDropShadow dx=\"1.5\" dy=\"2.5\" stdDeviation=\"1.4\" flood-opacity=\".4\"/></filter></defs>",
        look.dial, look.dial_edge, look.strap_edge, look.strap
    );
}

fn strap(svg: &mut String, look: &Look, radius: f64) {
    let wide = radius * 0.62;
    let narrow = radius * 0.54;
    // Both halves, from the case to the edge of the picture.
    let half = |from: f64, to: f64| {
        format!(
            "M{:.1} {from:.1}L{:.1} {to:.1}H{:.1}L{:.1} {from:.1}Z",
            X - wide,
            X - narrow,
            X + narrow,
            X + wide
        )
    };
    let halves = [half(Y - radius * 0.7, -4.0), half(Y + radius * 0.7, 484.0)];
    for path in &halves {
        let _ = write!(svg, "<path d=\"{path}\" fill=\"url(#strap)\"/>");
        if look.band == Band::Mesh {
            let _ = write!(svg, "<path d=\"{path}\" fill=\"url(#mesh)\"/>");
        }
    }
    let rows = |from: f64, to: f64, step: f64| {
        let count = ((to - from) / step) as u32;
        (0..=count).map(move |row| from + f64::from(row) * step)
    };
    let (top, bottom) = (Y - radius - 6.0, Y + radius + 6.0);
    match look.band {
        Band::Mesh => {}
        Band::Links => {
            for y in rows(0.0, top, 15.0).chain(rows(bottom, 480.0, 15.0)) {
                // The strap tapers from the case to the edge of the picture.
                let away = (((y - Y).abs() - radius * 0.7) / (Y - radius * 0.7)).clamp(0.0, 1.0);
                let reach = wide + (narrow - wide) * away;
                let _ = write!(
                    svg,
                    "<path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{}\" stroke-width=\"1.6\"/><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"11\" rx=\"2\" fill=\"#fff\" opacity=\".35\"/>",
                    X - reach,
                    X + reach,
                    look.strap_edge,
                    X - reach * 0.42,
                    y + 2.0,
                    reach * 0.84
                );
            }
        }
        Band::Leather => {
            for side in [-1.0, 1.0] {
                let (near, far) = (X + side * (wide - 8.0), X + side * (narrow - 8.0));
                let _ = write!(
                    svg,
                    "<path d=\"M{near:.1} {top:.1}L{far:.1} 0M{near:.1} {bottom:.1}L{far:.1} 480\" stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"7 5\" opacity=\".75\" fill=\"none\"/>",
                    look.stitch
                );
            }
        }
        Band::Fabric => {
            for y in rows(0.0, top, 4.0).chain(rows(bottom, 480.0, 4.0)) {
                let _ = write!(
                    svg,
                    "<path d=\"M{:.1} {y:.1}h{:.1}\" stroke=\"{}\" stroke-width=\"1\" opacity=\".4\"/>",
                    X - narrow,
                    narrow * 2.0,
                    look.stitch
                );
            }
        }
        Band::Rubber => {
            for x in [-0.5, 0.0, 0.5] {
                let _ = write!(
                    svg,
                    "<path d=\"M{0:.1} {top:.1}V0M{0:.1} {bottom:.1}V480\" stroke=\"{1}\" stroke-width=\"5\" opacity=\".55\"/>",
                    X + x * narrow,
                    look.stitch
                );
            }
        }
    }
}

fn analogue(svg: &mut String, look: &Look, radius: f64, brand: &str, sku: &str) {
    lugs_and_crown(svg, look, radius);
    circle(svg, radius, "url(#case)", "#0003");
    circle(svg, radius - 5.0, "url(#rim)", "none");
    let bezel = matches!(look.style, Style::Diver | Style::Gmt);
    let dial = if bezel { radius * 0.76 } else { radius * 0.88 };
    if bezel {
        rotating_bezel(svg, look, radius, dial);
    }
    circle(svg, dial, "url(#dial)", "#0006");
    match look.style {
        Style::Skeleton => wheels(svg, look, dial),
        Style::Chronograph => counters(svg, look, dial),
        Style::Moonphase => moon(svg, look, dial, sku),
        Style::Jewel => petals(svg, look, dial),
        Style::Dress => guilloche(svg, look, dial),
        Style::Field | Style::Pilot | Style::Diver | Style::Gmt | Style::Minimal | Style::Digital => {}
    }
    markers(svg, look, dial);
    let shown = escape(&brand.to_uppercase());
    let _ = write!(
        svg,
        "<text x=\"{X}\" y=\"{:.1}\" font-family=\"Georgia,serif\" font-size=\"{:.1}\" letter-spacing=\"1.2\" text-anchor=\"middle\" fill=\"{}\">{shown}</text>",
        Y - dial * 0.36,
        dial * 0.088,
        look.ink
    );
    if matches!(look.style, Style::Diver | Style::Dress | Style::Gmt) {
        date_window(svg, look, dial, sku);
    }
    hands(svg, look, dial, sku);
    let _ = write!(svg, "<circle cx=\"{X}\" cy=\"{Y}\" r=\"{dial:.1}\" fill=\"url(#shine)\"/>");
}

fn lugs_and_crown(svg: &mut String, look: &Look, radius: f64) {
    for (x, y) in [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)] {
        let (inner, outer) = (X + x * radius * 0.5, X + x * radius * 0.8);
        let (near, far) = (Y + y * radius * 0.6, Y + y * radius * 1.13);
        let _ = write!(
            svg,
            "<path d=\"M{outer:.1} {near:.1}L{:.1} {far:.1}H{:.1}L{inner:.1} {near:.1}Z\" fill=\"url(#case)\" stroke=\"#0003\"/>",
            X + x * radius * 0.7,
            X + x * radius * 0.6
        );
    }
    let crown = |y: f64, height: f64, svg: &mut String| {
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"16\" height=\"{height:.1}\" rx=\"3\" fill=\"url(#case)\" stroke=\"#0004\"/>",
            X + radius - 4.0,
            y - height / 2.0
        );
    };
    crown(Y, if look.style == Style::Pilot { 30.0 } else { 22.0 }, svg);
    if look.style == Style::Chronograph {
        crown(Y - radius * 0.36, 16.0, svg);
        crown(Y + radius * 0.36, 16.0, svg);
    }
}

fn rotating_bezel(svg: &mut String, look: &Look, radius: f64, dial: f64) {
    let ring = if look.is_dark() { look.dial_edge } else { "#1d3f73" };
    circle(svg, radius - 3.0, ring, look.case[1]);
    let middle = (radius - 3.0 + dial) / 2.0;
    if look.style == Style::Diver {
        for minute in (0..60).step_by(if look.band == Band::Links { 5 } else { 1 }) {
            if minute == 0 {
                continue;
            }
            let length = if minute % 5 == 0 { 5.0 } else { 2.5 };
            tick(
                svg,
                minute,
                middle - length,
                middle + length,
                "#f4f1e8",
                if minute % 5 == 0 { 2.6 } else { 1.1 },
            );
        }
        let y = Y - middle;
        let _ = write!(
            svg,
            "<path d=\"M{X} {:.1}l-7 -12h14Z\" fill=\"{}\"/><circle cx=\"{X}\" cy=\"{:.1}\" r=\"2.6\" fill=\"#eafff2\"/>",
            y + 6.0,
            look.accent,
            y - 2.0
        );
    } else {
        for hour in (2..=24).step_by(2) {
            let (x, y) = at(f64::from(hour) / 24.0, middle);
            text(svg, x, y, 9.0, "#f4f1e8", &hour.to_string());
        }
    }
}

fn markers(svg: &mut String, look: &Look, dial: f64) {
    let ink = look.ink;
    if !matches!(look.style, Style::Minimal | Style::Jewel | Style::Dress) {
        for minute in 0..60 {
            let long = minute % 5 == 0;
            tick(
                svg,
                minute,
                dial * if long { 0.9 } else { 0.93 },
                dial * 0.97,
                ink,
                if long { 2.0 } else { 0.9 },
            );
        }
    }
    for hour in 1..=12_u32 {
        let turn = f64::from(hour) / 12.0;
        let quarter = hour.is_multiple_of(3);
        let minute = hour * 5 % 60;
        let hidden = look.style == Style::Chronograph && quarter && hour != 12;
        match look.style {
            Style::Field => {
                let (x, y) = at(turn, dial * 0.76);
                text(svg, x, y, dial * 0.16, ink, &hour.to_string());
            }
            Style::Pilot if hour == 12 => {
                let y = Y - dial * 0.84;
                let _ = write!(
                    svg,
                    "<path d=\"M{X} {y:.1}l-8 14h16Z\" fill=\"{ink}\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{ink}\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\" fill=\"{ink}\"/>",
                    X - 12.0,
                    y + 4.0,
                    X + 12.0,
                    y + 4.0
                );
            }
            Style::Pilot => {
                let (x, y) = at(turn, dial * 0.75);
                text(svg, x, y, dial * 0.19, ink, &hour.to_string());
            }
            Style::Diver | Style::Gmt if quarter => {
                tick(svg, minute, dial * 0.68, dial * 0.87, "#eafff2", 8.0);
                tick(svg, minute, dial * 0.66, dial * 0.89, ink, 1.0);
            }
            Style::Diver | Style::Gmt => {
                let (x, y) = at(turn, dial * 0.79);
                let _ = write!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\" fill=\"#eafff2\" stroke=\"{}\" stroke-width=\"1.4\"/>",
                    dial * 0.065,
                    look.case[1]
                );
            }
            Style::Dress | Style::Moonphase if quarter && hour != 3 && hour != 6 => {
                let numeral = if hour == 12 { "XII" } else { "IX" };
                let (x, y) = at(turn, dial * 0.78);
                text(svg, x, y, dial * 0.15, ink, numeral);
            }
            Style::Dress | Style::Moonphase | Style::Skeleton | Style::Chronograph => {
                if !hidden {
                    tick(svg, minute, dial * 0.72, dial * 0.86, look.case[2], 5.0);
                    tick(svg, minute, dial * 0.73, dial * 0.85, look.case[0], 2.4);
                }
            }
            Style::Minimal => {
                tick(
                    svg,
                    minute,
                    dial * if quarter { 0.76 } else { 0.82 },
                    dial * 0.92,
                    ink,
                    if quarter { 2.4 } else { 1.4 },
                );
            }
            Style::Jewel => {
                let (x, y) = at(turn, dial * 0.84);
                let size = if quarter { 5.0 } else { 3.4 };
                let _ = write!(
                    svg,
                    "<path d=\"M{x:.1} {:.1}l{size} {size} -{size} {size} -{size} -{size}Z\" fill=\"#fff\" stroke=\"{}\" stroke-width=\".9\"/>",
                    y - size,
                    look.case[2]
                );
            }
            Style::Digital => {}
        }
    }
}

fn hands(svg: &mut String, look: &Look, dial: f64, sku: &str) {
    // About ten past ten, where hands frame a brand's name; each watch its own minute and second.
    let minute = 8.0 + f64::from(number(sku) % 5);
    let hour = (10.0 + minute / 60.0) / 12.0;
    let second = f64::from(28 + number(sku) / 5 % 14) / 60.0;
    let luminous = matches!(look.style, Style::Diver | Style::Gmt | Style::Pilot | Style::Field);
    let fill = if look.is_dark() { "#f6f6f4" } else { "#23272c" };
    svg.push_str("<g filter=\"url(#drop)\">");
    if look.style == Style::Gmt {
        let tip = -dial * 0.86;
        let _ = write!(
            svg,
            "<g transform=\"rotate(250 {X} {Y}) translate({X} {Y})\"><path d=\"M0 8V{tip:.1}\" stroke=\"{0}\" stroke-width=\"2\"/><path d=\"M0 {tip:.1}l-7 13h14Z\" fill=\"{0}\"/></g>",
            look.accent
        );
    }
    for (turn, length, width) in
        [(hour, dial * 0.5, dial * 0.058), (minute / 60.0, dial * 0.78, dial * 0.044)]
    {
        let degrees = turn * 360.0;
        let shape = match look.style {
            Style::Dress | Style::Moonphase | Style::Jewel | Style::Skeleton => {
                format!(
                    "M0 {:.1}L-{width:.1} -{:.1} 0 -{length:.1} {width:.1} -{1:.1}Z",
                    dial * 0.1,
                    length * 0.25
                )
            }
            Style::Minimal => format!("M-1.6 {:.1}V-{length:.1}h3.2V{0:.1}Z", dial * 0.12),
            Style::Field | Style::Pilot | Style::Diver | Style::Gmt | Style::Chronograph | Style::Digital => {
                format!(
                    "M-{0:.1} 0V-{1:.1}L-{width:.1} -{1:.1} 0 -{length:.1} {width:.1} -{1:.1} {0:.1} -{1:.1}V0Z",
                    width * 0.6,
                    length * 0.86
                )
            }
        };
        let _ = write!(
            svg,
            "<g transform=\"rotate({degrees:.1} {X} {Y}) translate({X} {Y})\"><path d=\"{shape}\" fill=\"{fill}\" stroke=\"{}\" stroke-width=\".8\"/>",
            look.case[2]
        );
        if luminous {
            let _ = write!(
                svg,
                "<path d=\"M0 -{:.1}V-{:.1}\" stroke=\"#d9f7e6\" stroke-width=\"{:.1}\"/>",
                length * 0.3,
                length * 0.82,
                width * 0.6
            );
        }
        svg.push_str("</g>");
    }
    if !matches!(look.style, Style::Minimal | Style::Moonphase) || look.dial == "#e0f0f7" {
        let _ = write!(
            svg,
            "<path transform=\"rotate({:.1} {X} {Y}) translate({X} {Y})\" d=\"M0 {:.1}V-{:.1}\" stroke=\"{}\" stroke-width=\"1.6\"/>",
            second * 360.0,
            dial * 0.2,
            dial * 0.88,
            look.accent
        );
    }
    let _ = write!(
        svg,
        "<circle cx=\"{X}\" cy=\"{Y}\" r=\"5\" fill=\"{fill}\"/><circle cx=\"{X}\" cy=\"{Y}\" r=\"2\" fill=\"{}\"/></g>",
        look.case[1]
    );
}

fn date_window(svg: &mut String, look: &Look, dial: f64, sku: &str) {
    let x = X + dial * 0.6;
    let _ = write!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"20\" height=\"16\" rx=\"1.5\" fill=\"#fdfdfb\" stroke=\"{}\"/>",
        x - 10.0,
        Y - 8.0,
        look.case[2]
    );
    text(svg, x, Y, 11.0, "#22262b", &(1 + number(sku) % 28).to_string());
}

fn counters(svg: &mut String, look: &Look, dial: f64) {
    for (x, y, turn) in [(-0.45, 0.0, 0.15), (0.45, 0.0, 0.6), (0.0, 0.47, 0.85)] {
        let (x, y, radius) = (X + x * dial, Y + y * dial, dial * 0.25);
        let fill = if look.is_dark() { look.dial_edge } else { "#2a2e34" };
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"{}\" stroke-width=\"1.2\"/>",
            look.case[1]
        );
        for step in 0..12 {
            let angle = f64::from(step) / 6.0 * PI;
            let (sin, cos) = angle.sin_cos();
            let _ = write!(
                svg,
                "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#f4f1e8\" stroke-width=\"1\"/>",
                x + sin * radius * 0.76,
                y - cos * radius * 0.76,
                x + sin * radius * 0.92,
                y - cos * radius * 0.92
            );
        }
        let _ = write!(
            svg,
            "<path transform=\"rotate({:.0} {x:.1} {y:.1})\" d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"{}\" stroke-width=\"1.6\"/>",
            turn * 360.0,
            y + 4.0,
            y - radius * 0.8,
            look.accent
        );
    }
}

fn moon(svg: &mut String, look: &Look, dial: f64, sku: &str) {
    let (y, radius) = (Y + dial * 0.42, dial * 0.27);
    let shift = f64::from(number(sku) % 9) * 2.0 - 8.0;
    let _ = write!(
        svg,
        "<clipPath id=\"sky\"><path d=\"M{0:.1} {y:.1}a{radius:.1} {radius:.1} 0 0 1 {1:.1} 0Z\"/></clipPath>\
         <g clip-path=\"url(#sky)\"><circle cx=\"{X}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"#101c4a\"/><circle cx=\"{2:.1}\" cy=\"{3:.1}\" r=\"{4:.1}\" fill=\"#f7e3a1\"/>",
        X - radius,
        radius * 2.0,
        X + shift,
        y - radius * 0.4,
        radius * 0.36
    );
    for (star_x, star_y) in [(-0.7, 0.3), (-0.45, 0.65), (0.5, 0.7), (0.72, 0.25), (0.1, 0.9)] {
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.1\" fill=\"#fff\"/>",
            X + star_x * radius,
            y - star_y * radius
        );
    }
    let _ = write!(
        svg,
        "</g><path d=\"M{:.1} {y:.1}a{radius:.1} {radius:.1} 0 0 1 {:.1} 0Z\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\"/>",
        X - radius,
        radius * 2.0,
        look.case[1]
    );
}

fn wheels(svg: &mut String, look: &Look, dial: f64) {
    for (x, y, radius, teeth) in
        [(-0.3, 0.28, 0.34, 40), (0.34, 0.2, 0.27, 32), (-0.52, -0.1, 0.2, 26), (0.1, 0.52, 0.18, 20)]
    {
        let (x, y, radius) = (X + x * dial, Y + y * dial, radius * dial);
        let metal = if teeth == 26 { GOLD[1] } else { look.case[1] };
        let dash = 2.0 * PI * radius / f64::from(teeth * 2);
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"none\" stroke=\"{metal}\" stroke-width=\"6\" stroke-dasharray=\"{dash:.2}\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\" fill=\"none\" stroke=\"{metal}\" stroke-width=\"4\"/>\
             <path d=\"M{:.1} {y:.1}h{:.1}M{x:.1} {:.1}v{2:.1}\" stroke=\"{metal}\" stroke-width=\"3\"/><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#c2274b\"/>",
            radius - 4.0,
            x - radius + 4.0,
            radius * 2.0 - 8.0,
            y - radius + 4.0
        );
    }
}

fn petals(svg: &mut String, look: &Look, dial: f64) {
    for petal in 0..12 {
        let _ = write!(
            svg,
            "<ellipse transform=\"rotate({} {X} {Y})\" cx=\"{X}\" cy=\"{:.1}\" rx=\"{:.1}\" ry=\"{:.1}\" fill=\"none\" stroke=\"{}\" stroke-width=\".8\" opacity=\".35\"/>",
            petal * 30,
            Y - dial * 0.34,
            dial * 0.13,
            dial * 0.32,
            look.ink
        );
    }
}

fn guilloche(svg: &mut String, look: &Look, dial: f64) {
    for ring in 0..18 {
        let angle = f64::from(ring) / 9.0 * PI;
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{:.1}\" fill=\"none\" stroke=\"{}\" stroke-width=\".6\" opacity=\".16\"/>",
            X + angle.sin() * dial * 0.25,
            Y - angle.cos() * dial * 0.25,
            dial * 0.25,
            look.ink
        );
    }
}

fn circle(svg: &mut String, radius: f64, fill: &str, stroke: &str) {
    let _ =
        write!(svg, "<circle cx=\"{X}\" cy=\"{Y}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"{stroke}\"/>");
}

fn text(svg: &mut String, x: f64, y: f64, size: f64, fill: &str, word: &str) {
    let _ = write!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" font-family=\"Arial,sans-serif\" font-weight=\"600\" font-size=\"{size:.1}\" text-anchor=\"middle\" fill=\"{fill}\">{word}</text>",
        y + size * 0.36
    );
}

fn tick(svg: &mut String, minute: u32, inner: f64, outer: f64, stroke: &str, width: f64) {
    let ((x1, y1), (x2, y2)) = (at(f64::from(minute) / 60.0, inner), at(f64::from(minute) / 60.0, outer));
    let _ = write!(
        svg,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
    );
}

/// The point at a part of a full turn from twelve o'clock.
fn at(turn: f64, radius: f64) -> (f64, f64) {
    let (sin, cos) = (turn * 2.0 * PI).sin_cos();
    (X + sin * radius, Y - cos * radius)
}

/// A number that a watch keeps for ever (FNV-1a of its SKU).
pub fn number(sku: &str) -> u32 {
    sku.bytes().fold(2_166_136_261, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619)) >> 8
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
