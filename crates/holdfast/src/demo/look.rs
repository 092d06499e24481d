//! What a watch is made of, told from its attributes: style, colours, metals, strap.

/// What a watch looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Style {
    Field,
    Pilot,
    Diver,
    Gmt,
    Chronograph,
    Dress,
    Minimal,
    Moonphase,
    Skeleton,
    Jewel,
    Digital,
}

/// Colours of one watch.
pub struct Look {
    pub style: Style,
    pub dial: &'static str,
    pub dial_edge: &'static str,
    pub ink: &'static str,
    pub accent: &'static str,
    pub case: Metal,
    pub strap: &'static str,
    pub strap_edge: &'static str,
    pub stitch: &'static str,
    pub band: Band,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    Leather,
    Fabric,
    Rubber,
    Links,
    Mesh,
}

/// Light, middle and dark of polished metal.
pub type Metal = [&'static str; 3];
pub const STEEL: Metal = ["#fbfcfd", "#b9c0c8", "#7a838d"];
pub const GOLD: Metal = ["#fff3cf", "#dcb668", "#96732c"];
pub const ROSE: Metal = ["#ffe9e0", "#dca48c", "#a0664e"];
pub const DARK: Metal = ["#5b6068", "#2c3036", "#131518"];

impl Look {
    pub fn of(brand: &str, style: &str, dial: &str, strap: &str) -> Self {
        let style = match style {
            "field" => Style::Field,
            "pilot" => Style::Pilot,
            "diver" => Style::Diver,
            "gmt" => Style::Gmt,
            "chronograph" => Style::Chronograph,
            "minimal" => Style::Minimal,
            "moonphase" => Style::Moonphase,
            "skeleton" => Style::Skeleton,
            "jewel" => Style::Jewel,
            "digital" => Style::Digital,
            _ => Style::Dress,
        };
        let dark_ink = "#22262b";
        let light_ink = "#f4f1e8";
        let (dial_colour, dial_edge, ink) = match dial {
            "Azure" => ("#3f8fd6", "#164a82", light_ink),
            "Black" => ("#2b2e33", "#0d0e10", light_ink),
            "Blush" => ("#fbe3dd", "#e3b3a8", dark_ink),
            "Champagne" => ("#f6e6bd", "#d8bb7c", dark_ink),
            "Cream" => ("#fbf4e1", "#e5d7b5", dark_ink),
            "Deep blue" => ("#1f5aa6", "#0a2450", light_ink),
            "Forest green" => ("#2f6d4c", "#12331f", light_ink),
            "Ice blue" => ("#e0f0f7", "#a9cddd", dark_ink),
            "Lime" => ("#d3ec6a", "#9bbf1e", dark_ink),
            "Maroon" => ("#8a2436", "#430d18", light_ink),
            "Midnight blue" => ("#22346b", "#0a1130", light_ink),
            "Mother of pearl" => ("#fdf7fb", "#d9dfe9", dark_ink),
            "Navy" => ("#27406f", "#0f1d39", light_ink),
            "Olive" => ("#75784a", "#3d4024", light_ink),
            "Orange" => ("#ff9440", "#e0620c", dark_ink),
            "Racing green" => ("#1e5b3d", "#0a2b1b", light_ink),
            "Sand" => ("#ecdcb9", "#c9b283", dark_ink),
            "Slate grey" => ("#6b747d", "#343a41", light_ink),
            "Teal" => ("#2a9295", "#0c4549", light_ink),
            "Silver" => ("#f5f6f7", "#c3c8cd", dark_ink),
            _ => ("#ffffff", "#dfe2e5", dark_ink),
        };
        let (colour, material) = strap.rsplit_once(' ').unwrap_or(("", strap));
        let (band, strap_colour, strap_edge) = match (material, colour) {
            ("bracelet" | "steel", _) => {
                (if colour == "Mesh" { Band::Mesh } else { Band::Links }, "#c7cdd3", "#828a93")
            }
            ("black", _) => (Band::Mesh, "#383c42", "#16181b"),
            ("rose", _) => (Band::Mesh, "#e2b09b", "#a86e57"),
            ("bangle", _) => (Band::Links, "#e3c27c", "#997530"),
            (material, colour) => {
                let band = match material {
                    "leather" => Band::Leather,
                    "rubber" => Band::Rubber,
                    _ => Band::Fabric,
                };
                let (fill, edge) = match colour {
                    "Black" => ("#2a2a2d", "#0f0f11"),
                    "Blue" => ("#2d4f8e", "#162a52"),
                    "Brown" => ("#6d4127", "#3a2012"),
                    "Grey" => ("#787e85", "#454a50"),
                    "Khaki" => ("#a89668", "#6d5f3b"),
                    "Lime" => ("#b9d833", "#7c9614"),
                    "Navy" => ("#26365a", "#10192e"),
                    "Olive" => ("#66693f", "#383b20"),
                    "Pink" => ("#e6aeb0", "#b17376"),
                    "Tan" => ("#b87c45", "#774a22"),
                    "Teal" => ("#277c80", "#114144"),
                    _ => ("#f1f1ef", "#c2c3c1"),
                };
                (band, fill, edge)
            }
        };
        let case = match (brand, material, dial) {
            (_, "rose", _) | ("Taraka", _, "Blush") => ROSE,
            (_, "bangle", _) | (_, _, "Champagne") => GOLD,
            ("Halden & Roy", _, "Midnight blue" | "Deep blue") => ROSE,
            (_, "black", _) | ("Aravalli", "canvas", "Black") | ("Kinetiq", "rubber", _) => DARK,
            _ => STEEL,
        };
        let accent = match brand {
            "Aravalli" => "#d2552b",
            "Kaveri" => "#a8842c",
            "Samudra" => "#ff8a1f",
            "Vayu" => "#e23b32",
            "Nordlys" => "#e5a921",
            "Halden & Roy" => "#2f5fb3",
            "Taraka" => "#c65f8b",
            _ => "#37c2a3",
        };
        let stitch = match band {
            Band::Leather => "#e9dcc3",
            Band::Fabric | Band::Rubber | Band::Links | Band::Mesh => strap_edge,
        };
        Self {
            style,
            dial: dial_colour,
            dial_edge,
            ink,
            accent,
            case,
            strap: strap_colour,
            strap_edge,
            stitch,
            band,
        }
    }

    pub fn is_dark(&self) -> bool {
        self.ink.starts_with("#f")
    }
}
