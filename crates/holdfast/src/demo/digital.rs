//! Watches with a display instead of hands.

use std::fmt::Write;

use super::look::{DARK, Look};
use super::picture::{X, Y, escape, number};

pub fn digital(svg: &mut String, look: &Look, radius: f64, brand: &str, sku: &str) {
    let half = radius * 0.96;
    let corner = if look.case == DARK { radius * 0.42 } else { radius * 0.2 };
    for (inset, fill) in [(0.0, "url(#case)"), (9.0, look.dial_edge), (13.0, "url(#dial)")] {
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{2:.1}\" height=\"{2:.1}\" rx=\"{3:.1}\" fill=\"{fill}\" stroke=\"#0004\"/>",
            X - half + inset,
            Y - half + inset,
            (half - inset) * 2.0,
            (corner - inset * 0.6).max(4.0)
        );
    }
    for (x, y) in [(-1.0, -0.5), (-1.0, 0.5), (1.0, -0.5), (1.0, 0.5)] {
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"20\" rx=\"3\" fill=\"url(#case)\" stroke=\"#0004\"/>",
            X + x * (half + 3.0) - 5.0,
            Y + y * half - 10.0
        );
    }
    let (width, height) = (half * 1.42, half * 0.8);
    let _ = write!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"7\" fill=\"#c3cdb4\" stroke=\"#20241c\" stroke-width=\"3\"/>",
        X - width / 2.0,
        Y - height / 2.0
    );
    let minute = 8 + number(sku) % 5;
    segments(svg, X - width * 0.43, Y - height * 0.08, height * 0.42, &format!("10:{minute:02}"));
    segments(
        svg,
        X + width * 0.31,
        Y + height * 0.13,
        height * 0.21,
        &format!("{:02}", 28 + number(sku) / 5 % 14),
    );
    let day = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"][number(sku) as usize % 7];
    let small = |svg: &mut String, x: f64, y: f64, size: f64, fill: &str, word: &str| {
        let _ = write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-family=\"Arial,sans-serif\" font-weight=\"700\" font-size=\"{size:.1}\" letter-spacing=\"1.5\" text-anchor=\"middle\" fill=\"{fill}\">{word}</text>"
        );
    };
    small(svg, X - width * 0.34, Y - height * 0.29, height * 0.15, "#23281f", day);
    small(
        svg,
        X + width * 0.3,
        Y - height * 0.29,
        height * 0.15,
        "#23281f",
        &format!("{}", 1 + number(sku) % 28),
    );
    small(svg, X, Y - half * 0.56, half * 0.15, look.ink, &escape(&brand.to_uppercase()));
    small(svg, X, Y + half * 0.66, half * 0.1, look.accent, "WATER RESIST");
    let _ = write!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"7\" fill=\"url(#shine)\"/>",
        X - width / 2.0,
        Y - height / 2.0
    );
}

/// Digits of a seven-segment display, drawn, so that no font is needed.
fn segments(svg: &mut String, left: f64, top: f64, height: f64, digits: &str) {
    let width = height * 0.5;
    let half = height / 2.0;
    let mut x = left;
    for digit in digits.chars() {
        let lit: &[usize] = match digit {
            '0' => &[0, 1, 2, 4, 5, 6],
            '1' => &[2, 5],
            '2' => &[0, 2, 3, 4, 6],
            '3' => &[0, 2, 3, 5, 6],
            '4' => &[1, 2, 3, 5],
            '5' => &[0, 1, 3, 5, 6],
            '6' => &[0, 1, 3, 4, 5, 6],
            '7' => &[0, 2, 5],
            '8' => &[0, 1, 2, 3, 4, 5, 6],
            '9' => &[0, 1, 2, 3, 5, 6],
            _ => {
                let _ = write!(
                    svg,
                    "<path d=\"M{x:.1} {:.1}v3M{x:.1} {:.1}v3\" stroke=\"#1b1f17\" stroke-width=\"3\"/>",
                    top + height * 0.28,
                    top + height * 0.66
                );
                x += width * 0.4;
                continue;
            }
        };
        for segment in lit {
            // Top, upper left, upper right, middle, lower left, lower right, bottom.
            let (dx, dy, across) = [
                (0.0, 0.0, true),
                (0.0, 0.0, false),
                (width, 0.0, false),
                (0.0, half, true),
                (0.0, half, false),
                (width, half, false),
                (0.0, height, true),
            ][*segment];
            let (right, down) = if across { (width - 3.0, 0.0) } else { (0.0, half - 3.0) };
            let (start_x, start_y) = if across { (x + dx + 1.5, top + dy) } else { (x + dx, top + dy + 1.5) };
            let _ = write!(
                svg,
                "<path d=\"M{start_x:.1} {start_y:.1}l{right:.1} {down:.1}\" stroke=\"#1b1f17\" stroke-width=\"{:.1}\" stroke-linecap=\"round\"/>",
                height * 0.09
            );
        }
        x += width * 1.5;
    }
}
