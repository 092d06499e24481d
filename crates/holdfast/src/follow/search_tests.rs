use serde_json::json;

use super::*;

fn item(sku: &str, brand: &str, model: &str, description: &str, price: i64) -> Arc<Item> {
    let value = json!({"sku": sku, "brand": brand, "model": model, "description": description,
        "price": {"amount": price, "currency": "INR"}, "attributes": {"strap": "leather"}, "status": "active", "version": 1});
    Arc::new(serde_json::from_value(value).expect("an item"))
}

/// SKU, brand, model, description, price, available.
const SHOP: [(&str, &str, &str, &str, i64, i64); 6] = [
    ("T-1", "Titan", "Edge", "Very thin", 100_000, 3),
    ("T-2", "Titan", "Raga", "Like the Edge, for the evening", 250_000, 1),
    ("C-1", "Casio", "Edgefield", "Digital", 30_000, 5),
    ("C-2", "Casio", "G-Shock", "Survives", 50_000, 0),
    ("F-1", "Fossil", "Grant", "Roman numerals", 90_000, 2),
    ("S-4711", "Seiko", "Größe 5", "Automatic", 200_000, 2),
];

fn add(index: &mut SearchIndex, item: &Arc<Item>, available: i64) -> u32 {
    index.add(item, ItemWords::of(item), available)
}

fn index() -> SearchIndex {
    let mut index = SearchIndex::default();
    for (sku, brand, model, description, price, available) in SHOP {
        add(&mut index, &item(sku, brand, model, description, price), available);
    }
    index
}

fn of(text: &str) -> ItemQuery {
    ItemQuery { query: Some(text.to_owned()), limit: 50, ..ItemQuery::default() }
}

fn all() -> ItemQuery {
    ItemQuery { limit: 50, ..ItemQuery::default() }
}

fn skus(found: &Found) -> Vec<&str> {
    found.skus.iter().map(Sku::as_str).collect()
}

#[test]
fn words_are_found_best_first() {
    let index = index();
    for (text, wanted) in [
        // Exact in the model, exact in a text, the beginning of a model.
        ("edge", vec!["T-1", "T-2", "C-1"]),
        ("EDGE titan", vec!["T-1", "T-2"]),
        ("titan ra", vec!["T-2"]),
        ("ra titan", vec![]),
        ("leather grant", vec!["F-1"]),
        ("s-4711", vec!["S-4711"]),
        ("4712", vec![]),
        ("größe", vec!["S-4711"]),
        ("nothing", vec![]),
        ("!!", vec![]),
    ] {
        assert_eq!(skus(&index.search(&of(text))), wanted, "{text:?}");
    }
    assert_eq!(index.search(&of("  ")).total, SHOP.len());
}

#[test]
fn one_typo_is_forgiven_in_words_of_four_letters() {
    let index = index();
    for typo in
        ["ttitan raga", "itan raga", "tizan raga", "ittan raga", "titna raga", "titan rga", "titan ragga"]
    {
        assert_eq!(skus(&index.search(&of(typo))), ["T-2"], "{typo:?}");
    }
    assert_eq!(index.search(&of("ttitann raga")).total, 0);
    // "Edge" has four letters: three of them are a typo.
    assert_eq!(skus(&index.search(&of("ege titan"))), ["T-1", "T-2"]);
}

#[test]
fn sold_out_comes_last_unless_sorted() {
    let index = index();
    assert_eq!(skus(&index.search(&all())), ["C-1", "F-1", "S-4711", "T-1", "T-2", "C-2"]);
    index.set_available(0, 0);
    index.set_available(3, 9);
    assert_eq!(skus(&index.search(&all())), ["C-1", "C-2", "F-1", "S-4711", "T-2", "T-1"]);
    assert_eq!(index.search(&ItemQuery { in_stock: true, ..all() }).total, 5);
}

#[test]
fn every_order_works_both_ways() {
    let index = index();
    for (sort, wanted) in [
        ("price", ["C-1", "C-2", "F-1", "T-1", "S-4711", "T-2"]),
        ("-price", ["T-2", "S-4711", "T-1", "F-1", "C-2", "C-1"]),
        ("brand", ["C-1", "C-2", "F-1", "S-4711", "T-1", "T-2"]),
        ("-brand", ["T-1", "T-2", "S-4711", "F-1", "C-1", "C-2"]),
        ("model", ["T-1", "C-1", "C-2", "F-1", "S-4711", "T-2"]),
        ("-model", ["T-2", "S-4711", "F-1", "C-2", "C-1", "T-1"]),
        ("available", ["C-2", "T-2", "F-1", "S-4711", "T-1", "C-1"]),
        ("-available", ["C-1", "T-1", "F-1", "S-4711", "T-2", "C-2"]),
        ("sku", ["C-1", "C-2", "F-1", "S-4711", "T-1", "T-2"]),
        ("-sku", ["T-2", "T-1", "S-4711", "F-1", "C-2", "C-1"]),
    ] {
        let query = ItemQuery { sort: Some(sort.parse().expect("a sort")), ..all() };
        assert_eq!(skus(&index.search(&query)), wanted, "{sort}");
        // Pages of two give the same, whatever is added before them meanwhile.
        let mut paged = Vec::new();
        let mut page = ItemQuery { limit: 2, ..query };
        loop {
            let found = index.search(&page);
            assert_eq!(found.total, SHOP.len());
            paged.extend(skus(&found).into_iter().map(str::to_owned));
            page.cursor = found.next_cursor;
            if page.cursor.is_none() {
                break;
            }
            assert!(is_cursor(page.cursor.as_deref().expect("there is one")));
        }
        assert_eq!(paged, wanted, "{sort} in pages");
    }
    assert!("colour".parse::<SortBy>().is_err());
}

#[test]
fn a_cursor_of_another_query_gives_nothing() {
    let index = index();
    let next = index.search(&ItemQuery { limit: 2, ..all() }).next_cursor;
    assert!(next.is_some());
    assert_eq!(index.search(&ItemQuery { cursor: next, ..of("edge") }).total, 0);
    assert!(!is_cursor("nonsense"));
    assert_eq!(index.search(&ItemQuery { cursor: Some("nonsense".into()), ..all() }).total, 0);
}

#[test]
fn brands_are_filtered_in_any_case_and_their_facet_ignores_the_filter() {
    let index = index();
    let query = ItemQuery { brands: vec!["TITAN".into(), " seiko".into()], ..all() };
    let found = index.search(&query);
    assert_eq!(skus(&found), ["S-4711", "T-1", "T-2"]);
    let facets: Vec<(&str, usize)> = found.facets.brand.iter().map(|f| (f.value.as_str(), f.count)).collect();
    assert_eq!(facets, [("Casio", 2), ("Titan", 2), ("Fossil", 1), ("Seiko", 1)]);
    assert_eq!(found.facets.price.iter().map(|range| range.count).sum::<usize>(), 3);
    assert_eq!(index.search(&ItemQuery { brands: vec!["Rolex".into()], ..all() }).total, 0);
}

#[test]
fn prices_are_inclusive_but_a_range_of_the_facets_ends_before_its_end() {
    let index = index();
    let prices = |min, max| index.search(&ItemQuery { min_price: min, max_price: max, ..all() });
    assert_eq!(prices(Some(0), Some(50_000)).total, 1, "a facet's range");
    assert_eq!(prices(None, Some(50_000)).total, 1, "the same one");
    assert_eq!(prices(Some(30_000), Some(50_000)).total, 2);
    assert_eq!(prices(Some(30_000), Some(90_000)).total, 3);
    assert_eq!(prices(Some(50_000), None).total, 5);
    assert_eq!(prices(None, Some(29_999)).total, 0);
    let found = prices(None, Some(29_999));
    let facets = found.facets.price;
    assert_eq!(
        facets.iter().map(|range| range.count).sum::<usize>(),
        SHOP.len(),
        "prices ignore their own filter"
    );
    assert_eq!((facets[0].from, facets[facets.len() - 1].to), (0, None));
    for pair in facets.windows(2) {
        assert_eq!(pair[0].to, Some(pair[1].from));
    }
    for range in &facets {
        let there =
            SHOP.iter().filter(|row| row.4 >= range.from && range.to.is_none_or(|to| row.4 < to)).count();
        assert_eq!(there, range.count, "{range:?}");
        assert_eq!(prices(Some(range.from), range.to).total, range.count, "{range:?} as a filter");
    }
}

#[test]
fn a_thousand_prices_make_a_few_ranges_without_gaps() {
    let mut counts = vec![0; PRICE_STEPS];
    (0..1_000_000_i64).step_by(997).for_each(|price| counts[usize::from(price_step(price))] += 1);
    let ranges = price_ranges(&counts);
    assert!((4..=PRICE_FACETS_MAX).contains(&ranges.len()), "{ranges:?}");
    assert_eq!(ranges.iter().map(|range| range.count).sum::<usize>(), counts.iter().sum::<usize>());
    for price in [0, 9, 10, 14, 15, 99, 100, 749, 750, 1_000_000_000_000] {
        let step = usize::from(price_step(price));
        assert!(step_start(step) <= price, "{price}");
        assert!(step + 1 == PRICE_STEPS || price < step_start(step + 1), "{price}");
    }
}

#[test]
fn changed_and_removed_items_leave_nothing_behind() {
    let mut index = index();
    let sonata = item("T-1", "Sonata", "Slim", "Very thin", 1);
    index.update(0, &sonata, ItemWords::of(&sonata), 3);
    assert_eq!(skus(&index.search(&of("edge"))), ["T-2", "C-1"]);
    assert_eq!(skus(&index.search(&of("sonata"))), ["T-1"]);
    index.remove(0);
    assert_eq!(index.search(&of("sonata")).total, 0);
    assert_eq!(add(&mut index, &item("N-1", "New", "One", "", 5), 1), 0, "its number is used again");
    (0..SHOP.len() as u32).for_each(|number| index.remove(number));
    assert_eq!(index.vocabulary().len(), 0);
    assert_eq!(index.search(&all()).total, 0);
}

/// Enough for several threads, several pages and many ties.
fn many() -> Vec<(Arc<Item>, i64)> {
    let brands = ["Titan", "Titanium", "Titanium Works", "Ökonom", "casio"];
    let made = (0..4_321_usize).map(|n| {
        let model = format!("Collection {:03} Edge", n * 7_919 % 113);
        let price = (n * 31 % 977 * 100) as i64;
        let sku = format!("S-{:05}", n * 2);
        (item(&sku, brands[n % brands.len()], &model, &format!("batch{} strap", n % 10), price), n as i64 % 4)
    });
    made.collect()
}

#[test]
fn an_index_that_was_loaded_at_once_answers_like_one_that_grew() {
    let items = many();
    let loaded = SearchIndex::load(&items);
    let mut grown = SearchIndex::default();
    for (item, available) in &items {
        add(&mut grown, item, *available);
    }
    assert_eq!(loaded.vocabulary(), grown.vocabulary());
    for text in ["", "titanium", "tita", "titanum edge", "batch3", "collection 05", "s 00042", "casio ste"] {
        for in_stock in [false, true] {
            let query = ItemQuery { in_stock, ..of(text) };
            let (a, b) = (loaded.search(&query), grown.search(&query));
            assert_eq!((skus(&a), a.total, &a.facets), (skus(&b), b.total, &b.facets), "{text:?}");
            assert!(a.total > 0 || text == "casio ste", "{text:?} finds something");
        }
    }
}

#[test]
fn pages_in_any_order_are_those_of_sorting_everything() {
    let items = many();
    let index = SearchIndex::load(&items);
    let lower = |text: &str| text.to_lowercase();
    for name in ["price", "brand", "model", "available", "sku", ""] {
        for descending in [false, true] {
            let mut wanted: Vec<&(Arc<Item>, i64)> = items.iter().collect();
            wanted.sort_by(|(a, a_units), (b, b_units)| {
                let (brand, model) = (
                    lower(a.brand.as_str()).cmp(&lower(b.brand.as_str())),
                    lower(a.model.as_str()).cmp(&lower(b.model.as_str())),
                );
                let turned = |by: std::cmp::Ordering| if descending { by.reverse() } else { by };
                let order = match name {
                    "price" => turned(a.price.0.amount.cmp(&b.price.0.amount)),
                    "available" => turned(a_units.cmp(b_units)),
                    "brand" => turned(brand).then(model),
                    "model" => turned(model).then(brand),
                    "sku" => turned(a.sku.cmp(&b.sku)),
                    _unsorted => (*a_units == 0).cmp(&(*b_units == 0)).then(brand).then(model),
                };
                order.then_with(|| a.sku.cmp(&b.sku))
            });
            let wanted: Vec<&str> = wanted.iter().map(|(item, _)| item.sku.as_str()).collect();
            let sign = if descending { "-" } else { "" };
            let sort = (!name.is_empty()).then(|| format!("{sign}{name}").parse().expect("a sort"));
            let mut page = ItemQuery { limit: 197, sort, ..ItemQuery::default() };
            let mut paged: Vec<String> = Vec::new();
            loop {
                let found = index.search(&page);
                paged.extend(skus(&found).into_iter().map(str::to_owned));
                page.cursor = found.next_cursor;
                if page.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(paged, wanted, "{sign}{name}");
        }
    }
}
