//! Imports into a real database, and exports out of it.

use std::io;
use std::sync::{Arc, Mutex};

use holdfast_domain::command::{
    Attributes, ImageUrl, Name, Price, PutLocation, ReceiveStock, RemoveItem, Text, UpdateItem,
};
use holdfast_domain::{CommandBody, Money, Quantity, StockRow};
use holdfast_store::Database;

use super::*;
use crate::clock;

const ROWS_AT_ONCE: usize = 1_000;

/// A database with the locations BLR and DEL.
struct Shop {
    database: Database,
    /// The kinds of each call of `execute`.
    calls: Mutex<Vec<Vec<&'static str>>>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database =
            Database::open_sqlite(&folder.path().join("holdfast.db")).await.expect("a new database");
        let shop = Self { database, calls: Mutex::default(), _folder: folder };
        for (priority, code) in ["BLR", "DEL"].into_iter().enumerate() {
            let put = PutLocation {
                code: LocationCode::new(code).expect("a code"),
                name: Name::new(code).expect("a name"),
                priority: i32::try_from(priority).expect("a small number"),
                latitude: None,
                longitude: None,
                if_match: None,
                create: true,
            };
            shop.execute(CommandBody::PutLocation(put)).await;
        }
        shop
    }

    async fn execute(&self, body: CommandBody) {
        let command = Command::new(Uuid::now_v7(), Actor::system(), body);
        let executed = self.database.store.execute(clock::now(), Arc::new(vec![command])).await;
        let outcome = executed.expect("a batch").outcomes.remove(0);
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }

    async fn receive(&self, sku: &str, location: &str, quantity: i64) {
        let receive = ReceiveStock {
            sku: Sku::new(sku).expect("a SKU"),
            location: LocationCode::new(location).expect("a code"),
            quantity: Quantity::new(quantity).expect("a quantity"),
            reference: None,
        };
        self.execute(CommandBody::ReceiveStock(receive)).await;
    }

    async fn states(&self) -> Vec<SkuState> {
        let mut states = self.database.reads.snapshot().await.expect("a snapshot").skus;
        states.sort_by(|a, b| a.item.sku.cmp(&b.item.sku));
        states
    }

    async fn state(&self, sku: &str) -> Option<SkuState> {
        self.states().await.into_iter().find(|state| state.item.sku.as_str() == sku)
    }

    async fn head(&self) -> u64 {
        self.database.store.head().await.expect("a head").position.0
    }

    async fn import_with(
        &self,
        reader: impl Read + Send + 'static,
        options: Options,
        known: Vec<SkuState>,
    ) -> anyhow::Result<Progress> {
        let execute = |commands: Vec<Command>| {
            let kinds = commands.iter().map(|command| command.body.kind()).collect();
            self.calls.lock().expect("no other test panicked").push(kinds);
            let store = self.database.store.clone();
            async move { Ok(store.execute(clock::now(), Arc::new(commands)).await?.outcomes) }
        };
        let known = |sku: &Sku| known.iter().find(|state| state.item.sku == *sku).cloned();
        let decided = |commands: Vec<Uuid>| {
            let reads = self.database.reads.clone();
            async move {
                let found: HashSet<Uuid> = reads.decided(commands).await?.into_iter().collect();
                Ok(found)
            }
        };
        import(reader, options, execute, known, decided, &watch::Sender::new(Progress::default())).await
    }

    async fn import(&self, text: &str) -> Progress {
        let reader = io::Cursor::new(text.to_owned().into_bytes());
        self.import_with(reader, options(), self.states().await).await.expect("an import without trouble")
    }

    async fn export(&self) -> String {
        let mut out = Vec::new();
        export(&mut out, self.states().await.into_iter()).expect("an export");
        String::from_utf8(out).expect("UTF-8")
    }
}

fn options() -> Options {
    let location = |code| LocationCode::new(code).expect("a code");
    Options {
        dry_run: false,
        actor: Actor::system(),
        import_id: Uuid::now_v7(),
        locations: vec![location("DEL"), location("BLR")],
        rows_at_once: ROWS_AT_ONCE,
    }
}

fn errors(progress: &Progress) -> Vec<String> {
    progress.errors.iter().map(ToString::to_string).collect()
}

fn row<'a>(state: &'a SkuState, location: &str) -> &'a StockRow {
    state.stock.iter().find(|row| row.location.as_str() == location).expect("a stock row")
}

#[tokio::test]
async fn rows_of_one_sku_become_one_item_at_several_locations() {
    let shop = Shop::open().await;
    let progress = shop
        .import(
            "\u{feff}SKU,Brand,Model,Price,Location,Quantity,Safety_Stock,Reorder_Point,Attributes,max_per_order\r\n\
             A,Vayu,Pilot,1299.50,BLR,5,1,2,\"{\"\"strap\"\":\"\"tan\"\"}\",3\r\n\
             A,,,,DEL,7,,4,,\r\n\
             B,Vayu,Glider,99,,,,,,\r\n",
        )
        .await;
    assert_eq!(errors(&progress), [""; 0]);
    assert_eq!((progress.rows_read, progress.rows_applied, progress.items_added), (3, 3, 2));
    let a = shop.state("A").await.expect("A");
    assert_eq!(a.item.price.0.amount, 129_950);
    assert_eq!(a.item.max_per_order, Some(Quantity::new(3).expect("a quantity")));
    assert_eq!(a.item.attributes.iter().collect::<Vec<_>>(), [("strap", "tan")]);
    let blr = row(&a, "BLR");
    assert_eq!((blr.on_hand, blr.safety_stock, blr.reorder_point), (5, 1, 2));
    let del = row(&a, "DEL");
    assert_eq!((del.on_hand, del.safety_stock, del.reorder_point), (7, 0, 4));
    assert_eq!(shop.state("B").await.expect("B").stock, []);
}

#[tokio::test]
async fn a_known_item_is_updated_where_it_differs_and_counted() {
    let shop = Shop::open().await;
    shop.import(
        "sku,brand,model,description,price,location,quantity,reorder_point\nA,Vayu,Pilot,Fine,100,BLR,5,2\n",
    )
    .await;
    let progress = shop
        .import("sku,model,description,price,location,quantity,safety_stock\nA,Pilot II,,100.00,BLR,9,1\n")
        .await;
    assert_eq!((errors(&progress), progress.items_updated), (Vec::new(), 1));
    let a = shop.state("A").await.expect("A");
    assert_eq!((a.item.model.as_str(), a.item.description.as_str(), a.item.version), ("Pilot II", "Fine", 2));
    let there = row(&a, "BLR");
    assert_eq!((there.on_hand, there.safety_stock, there.reorder_point), (9, 1, 2), "a blank level stays");
    let calls = shop.calls.lock().expect("no panic").clone();
    assert_eq!(calls, [vec!["item.add"], vec!["stock.count"], vec!["stock.levels", "item.update"]]);

    let progress = shop.import("sku,model,location\nA,Pilot II,BLR\n").await;
    assert_eq!((progress.rows_applied, progress.items_updated), (1, 0));
    assert_eq!(shop.calls.lock().expect("no panic").len(), 3, "what is so already needs no command");
}

#[tokio::test]
async fn each_bad_row_is_one_line_and_its_neighbours_are_imported() {
    let header = "sku,brand,model,price,currency,location,quantity\n";
    let good = "G,Vayu,Good,1,,BLR,1\n";
    for (rows, expected) in [
        ("A,,Pilot,1,,BLR,1\n", "line 3, brand: this is needed, because the item is new"),
        ("A,Vayu,Pilot,,,BLR,1\n", "line 3, price: this is needed, because the item is new"),
        ("A,Vayu,Pilot,1.234,,BLR,1\n", "line 3, price: must be an amount in major units such as 1299.00"),
        ("A,Vayu,Pilot,\"1,299\",,BLR,1\n", "line 3, price: must be an amount in major units"),
        ("A,Vayu,Pilot,-1,,BLR,1\n", "line 3, price: must be an amount in major units"),
        (
            "A,Vayu,Pilot,1.5,JPY,BLR,1\n",
            "line 3, price: must be an amount in major units such as 1299, at most 0",
        ),
        ("A,Vayu,Pilot,1,,PUN,1\n", "line 3, location: there is no location PUN; there are BLR, DEL"),
        ("G,Vaju,,,,DEL,1\n", "line 3, brand: this differs from line 2, which has the same SKU"),
        ("G,,,1.01,,DEL,1\n", "line 3, price: this differs from line 2"),
        ("G,,,,EUR,DEL,1\n", "line 3, currency: this differs from line 2"),
        ("G,,,,,BLR,2\n", "line 3, location: line 2 has the same SKU at the same location already"),
        ("G,,,,,,\n", "line 3, location: this cell is blank, and line 2 has the same SKU already"),
        ("\n\nA,Vayu,Pilot,,,BLR,1\n", "line 5, price: this is needed"),
    ] {
        let shop = Shop::open().await;
        let progress = shop.import(&format!("{header}{good}{rows}H,Vayu,Last,1,,DEL,1\n")).await;
        assert_eq!(progress.errors.len(), 1, "{rows}: {progress:?}");
        assert!(errors(&progress)[0].starts_with(expected), "{rows}: {:?}", errors(&progress));
        assert_eq!((progress.rows_read, progress.rows_applied, progress.rows_failed), (3, 2, 1), "{rows}");
        let states = shop.states().await;
        assert_eq!(
            states.iter().map(|state| state.item.sku.as_str()).collect::<Vec<_>>(),
            ["G", "H"],
            "{rows}"
        );
        assert_eq!(
            (states[0].item.brand.as_str(), states[0].available(), states[0].stock.len()),
            ("Vayu", 1, 1)
        );
    }
}

#[tokio::test]
async fn a_row_after_a_bad_one_of_its_sku_counts_as_the_first() {
    let shop = Shop::open().await;
    let progress = shop
        .import("sku,brand,model,price,location,quantity\nA,Vayu,Pilot,x,BLR,1\nA,Vayu,Pilot,5,BLR,2\n")
        .await;
    assert_eq!((progress.rows_failed, progress.rows_applied), (1, 1));
    assert_eq!(shop.state("A").await.expect("A").available(), 2);
}

#[tokio::test]
async fn what_the_rules_refuse_leaves_nothing_of_the_row() {
    let shop = Shop::open().await;
    shop.import("sku,brand,model,price,location,quantity\nA,Vayu,Pilot,1,BLR,5\n").await;
    let before = shop.head().await;
    // A location that this import believes in and the shop does not, so that only the rules can refuse it.
    let mut believing = options();
    believing.locations.push(LocationCode::new("GONE").expect("a code"));
    let text = "sku,brand,model,price,location,quantity,reorder_point\n\
                A,Vaju,Pilot,2,GONE,9,3\n\
                B,Vayu,New,1,GONE,9,3\n\
                B,,,,DEL,9,3\n";
    let reader = io::Cursor::new(text);
    let progress = shop.import_with(reader, believing, shop.states().await).await.expect("an import");
    assert_eq!(
        errors(&progress),
        [
            "line 2, location: There is no location GONE.",
            "line 3, location: There is no location GONE.",
            "line 4, sku: the row that adds this item was refused",
        ]
    );
    assert_eq!((progress.rows_applied, progress.rows_failed, progress.items_added), (0, 3, 0));
    assert_eq!(shop.head().await, before, "nothing was recorded");
}

#[tokio::test]
async fn a_dry_run_finds_the_same_errors_and_changes_nothing() {
    let shop = Shop::open().await;
    let before = shop.head().await;
    let text = "sku,brand,model,price,location,quantity\nA,Vayu,Pilot,1,BLR,5\nA,,,,BLR,1\nB,Vayu,,1,BLR,1\n";
    let reader = io::Cursor::new(text);
    let dry = Options { dry_run: true, ..options() };
    let tried = shop.import_with(reader, dry, shop.states().await).await.expect("a dry run");
    assert_eq!(shop.head().await, before);
    assert_eq!(shop.import(text).await, tried);
    assert_eq!((tried.rows_failed, tried.rows_applied, tried.items_added), (2, 1, 1));
}

#[tokio::test]
async fn the_same_import_again_has_no_further_effect() {
    let shop = Shop::open().await;
    let text = "sku,brand,model,price,location,quantity,reorder_point\nA,Vayu,Pilot,1,BLR,5,1\nA,,,,DEL,6,\n";
    let options = options();
    let first =
        shop.import_with(io::Cursor::new(text), options.clone(), Vec::new()).await.expect("an import");
    assert_eq!((first.rows_applied, first.items_added), (2, 1));
    // Two locations; the item with its levels and receipt; one count.
    assert_eq!(shop.head().await, 2 + 3 + 1);
    shop.receive("A", "BLR", 4).await;
    shop.receive("A", "DEL", 1).await;
    let head = shop.head().await;
    // Whether or not what the first one did is known by now.
    for known in [Vec::new(), shop.states().await] {
        let again = shop.import_with(io::Cursor::new(text), options.clone(), known).await.expect("an import");
        assert_eq!(again, first);
    }
    assert_eq!(shop.head().await, head);
    let a = shop.state("A").await.expect("A");
    assert_eq!((row(&a, "BLR").on_hand, row(&a, "DEL").on_hand), (9, 7));
}

#[tokio::test]
async fn an_import_that_was_cut_off_goes_on_where_it_was() {
    let text = "sku,brand,model,price,location,quantity,reorder_point\n\
                K,Vayu,Renamed,1,BLR,8,2\n\
                N,Vayu,New,1,BLR,5,\n\
                N,,,,DEL,6,\n";
    // It takes three calls: the addition, the two counts, and what is left of the known item.
    for calls in 0..=3 {
        let shop = Shop::open().await;
        shop.import("sku,brand,model,price,location,quantity\nK,Vayu,Known,1,BLR,3\n").await;
        let options = options();
        let left = std::cell::Cell::new(calls);
        let execute = |commands: Vec<Command>| {
            let (store, gone) = (shop.database.store.clone(), left.get() == 0);
            left.set(left.get() - i32::from(!gone));
            async move {
                ensure!(!gone, "the server is gone");
                Ok(store.execute(clock::now(), Arc::new(commands)).await?.outcomes)
            }
        };
        let states = shop.states().await;
        let known = |sku: &Sku| states.iter().find(|state| state.item.sku == *sku).cloned();
        let progress = watch::Sender::new(Progress::default());
        let reader = io::Cursor::new(text);
        let cut = import(reader, options.clone(), execute, known, nothing_decided, &progress).await;
        assert_eq!(cut.is_err(), calls < 3);

        // What comes in meanwhile is still there in the end.
        if calls >= 1 {
            shop.receive("N", "BLR", 10).await;
        }
        if calls >= 2 {
            shop.receive("K", "BLR", 100).await;
        }
        let known = shop.states().await;
        let rest = shop.import_with(io::Cursor::new(text), options, known).await.expect("the rest");
        assert_eq!((errors(&rest), rest.rows_applied, rest.items_added), (Vec::new(), 3, 1), "{calls}");
        let (k, n) = (shop.state("K").await.expect("K"), shop.state("N").await.expect("N"));
        assert_eq!(row(&k, "BLR").on_hand, if calls >= 2 { 108 } else { 8 }, "{calls}");
        assert_eq!((k.item.model.as_str(), row(&k, "BLR").reorder_point), ("Renamed", 2), "{calls}");
        assert_eq!(row(&n, "BLR").on_hand, if calls >= 1 { 15 } else { 5 }, "{calls}");
        assert_eq!(row(&n, "DEL").on_hand, 6, "{calls}");
    }
}

#[tokio::test]
async fn a_bad_row_stays_bad_when_the_import_comes_again() {
    let shop = Shop::open().await;
    let text = "sku,brand,model,price,location,quantity\nA,,Pilot,1,BLR,7\nA,Vayu,Pilot,1,BLR,5\n";
    let options = options();
    let first =
        shop.import_with(io::Cursor::new(text), options.clone(), Vec::new()).await.expect("an import");
    assert_eq!((first.rows_failed, first.items_added), (1, 1));
    shop.receive("A", "BLR", 4).await;
    // The item is known now, and the first row would do.
    let known = shop.states().await;
    let again = shop.import_with(io::Cursor::new(text), options, known).await.expect("an import");
    assert_eq!(again, first);
    assert_eq!(row(&shop.state("A").await.expect("A"), "BLR").on_hand, 9);
}

#[tokio::test]
async fn what_others_changed_since_an_import_stays_when_it_comes_again() {
    let shop = Shop::open().await;
    shop.import("sku,brand,model,price,location,quantity\nA,Vayu,Pilot,1,BLR,3\n").await;
    let text = "sku,model,description,location,quantity\nA,Pilot II,Fine,BLR,8\n";
    let options = options();
    let known = shop.states().await;
    let first = shop.import_with(io::Cursor::new(text), options.clone(), known).await.expect("an import");
    let renamed = UpdateItem {
        sku: Sku::new("A").expect("a SKU"),
        if_match: None,
        brand: None,
        model: Some(Name::new("Pilot III").expect("a name")),
        description: None,
        price: None,
        image_url: None,
        attributes: None,
        max_per_order: None,
        status: None,
    };
    shop.execute(CommandBody::UpdateItem(renamed)).await;
    let known = shop.states().await;
    let again = shop.import_with(io::Cursor::new(text), options, known).await.expect("an import");
    assert_eq!(again, first);
    let a = shop.state("A").await.expect("A");
    assert_eq!((a.item.model.as_str(), a.item.description.as_str()), ("Pilot III", "Fine"));
}

#[tokio::test]
async fn files_that_cannot_be_read_on_say_why_and_keep_what_came_before() {
    for (text, applied, expected) in [
        ("", 0, "line 1: the file is empty; its first row must name the columns"),
        ("sku,colour\nA,red\n", 0, "line 1, colour: this column is unknown"),
        ("brand\nVayu\n", 0, "line 1, sku: this column is missing"),
        (
            "sku,brand,model,price\nA,Vayu,Pilot,1\nB,\"Vayu,Glider,1\nC,Vayu,x,1\n",
            1,
            "line 3: a quote opens in this row and is never closed",
        ),
    ] {
        let shop = Shop::open().await;
        let progress = shop.import(text).await;
        assert!(progress.stopped, "{text}");
        assert_eq!(progress.rows_applied, applied, "{text}");
        assert!(errors(&progress)[0].starts_with(expected), "{text}: {:?}", errors(&progress));
    }
}

#[tokio::test]
async fn errors_are_bounded_and_counted() {
    let shop = Shop::open().await;
    let progress = shop.import(&format!("sku\n{}\"", "a b\n".repeat(2_500))).await;
    assert_eq!((progress.rows_read, progress.rows_failed, progress.errors_left_out), (2_500, 2_500, 1_500));
    assert_eq!(progress.errors.len(), ERRORS_MAX + 1);
    let last = progress.errors.last().expect("the reason to stop");
    assert_eq!((last.line, progress.stopped), (2_502, true));
}

#[tokio::test]
async fn no_call_has_more_commands_than_the_limit_and_adds_go_alone() {
    let shop = Shop::open().await;
    let mut text = "sku,brand,model,price,location,quantity,reorder_point\n".to_owned();
    for n in 0..1_500 {
        text.push_str(&format!("S{n},Vayu,Pilot,1,BLR,1,2\nS{n},,,,DEL,1,2\n"));
    }
    let progress = shop.import(&text).await;
    assert_eq!((progress.rows_applied, progress.items_added), (3_000, 1_500));
    assert_eq!(progress.bytes_read, text.len() as u64);
    for call in shop.calls.lock().expect("no panic").iter() {
        assert!((1..=ROWS_AT_ONCE).contains(&call.len()));
        assert!(call.iter().all(|kind| *kind == "item.add") || !call.contains(&"item.add"));
    }
    assert_eq!(shop.states().await.iter().map(SkuState::available).sum::<i64>(), 3_000);
}

#[tokio::test]
async fn trouble_while_reading_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let shop = Shop::open().await;
    let error = shop.import_with(Broken, options(), Vec::new()).await.expect_err("trouble");
    assert!(format!("{error:#}").contains("the disk is gone"));
}

#[tokio::test]
async fn trouble_while_executing_is_an_error_and_the_progress_tells_what_is_done() {
    let shop = Shop::open().await;
    let mut text = "sku,brand,model,price\n".to_owned();
    (0..2_000).for_each(|n| text.push_str(&format!("S{n},Vayu,Pilot,1\n")));
    let progress = watch::Sender::new(Progress::default());
    let calls = std::cell::Cell::new(0);
    let execute = |commands: Vec<Command>| {
        calls.set(calls.get() + 1);
        let (store, fails) = (shop.database.store.clone(), calls.get() == 2);
        async move {
            ensure!(!fails, "the database is gone");
            Ok(store.execute(clock::now(), Arc::new(commands)).await?.outcomes)
        }
    };
    let error = import(io::Cursor::new(text), options(), execute, |_: &Sku| None, nothing_decided, &progress)
        .await
        .expect_err("trouble");
    assert!(format!("{error:#}").contains("the database is gone"));
    assert_eq!(progress.borrow().rows_applied, 1_000);
    assert_eq!(shop.states().await.len(), 1_000);
}

/// Texts that try to be something else on their way through a file.
const HOSTILE: [&str; 10] = [
    "plain",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+1",
    "@SUM(A1:A9)",
    "'=kept",
    "''",
    "say \"hi\", she",
    " spaces around ",
    "ಕಾವೇರಿ ⌚",
];

#[tokio::test]
async fn an_export_is_read_back_unchanged() {
    let shop = Shop::open().await;
    for (index, text) in HOSTILE.into_iter().enumerate() {
        let currency = ["INR", "JPY", "KWD"][index % 3];
        let money =
            Money { amount: 129_901 * index as i64, currency: Currency::new(currency).expect("known") };
        let attributes = [(text.into(), text.into()), ("=x".into(), "\n\"y\"".into())].into_iter().collect();
        let item = AddItem {
            sku: Some(Sku::new(format!("-S{index}")).expect("a SKU")),
            brand: Name::new(text).expect("a name"),
            model: Name::new(format!("{text}{text}")).expect("a name"),
            description: Text::new(format!("{text}\r\n\n{text}\r\t\"\"")).expect("a text"),
            price: Price(money),
            image_url: (index % 2 == 0).then(|| ImageUrl::new("/a,b.svg").expect("a path")),
            attributes: if index == 3 {
                Attributes::default()
            } else {
                Attributes::new(attributes).expect("attributes")
            },
            max_per_order: (index % 2 == 1).then(|| Quantity::new(7).expect("a quantity")),
            stock: Vec::new(),
        };
        shop.execute(CommandBody::AddItem(item)).await;
    }
    let counts = "sku,location,quantity,safety_stock,reorder_point\n-S0,BLR,5,1,2\n-S0,DEL,0,0,0\n-S1,DEL,1000000000000,0,9\n";
    assert_eq!(errors(&shop.import(counts).await), [""; 0]);

    let exported = shop.export().await;
    let copy = Shop::open().await;
    let progress = copy.import(&exported).await;
    assert_eq!(errors(&progress), [""; 0]);
    assert_eq!((progress.items_added, progress.rows_applied), (10, 11));
    assert_eq!(copy.states().await, shop.states().await);
    assert_eq!(copy.export().await, exported);
    // Over what is there already, only the counts are recorded.
    let before = shop.head().await;
    assert_eq!(shop.import(&exported).await.items_updated, 0);
    assert_eq!(shop.head().await, before + 3);
}

#[tokio::test]
async fn no_exported_cell_is_a_formula() {
    let shop = Shop::open().await;
    let text = "sku,brand,model,price,description\n-A,=1+1,+1,1,@x\n";
    assert_eq!(errors(&shop.import(text).await), [""; 0]);
    assert_eq!(shop.state("-A").await.expect("it").item.brand.as_str(), "=1+1", "formulas are text");
    let exported = shop.export().await;
    let mut reader = csv::Reader::from_reader(exported.as_bytes());
    for record in reader.records() {
        for cell in &record.expect("a record") {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell}");
        }
    }
}

#[tokio::test]
async fn archived_items_are_left_out_of_an_export_and_stay_archived() {
    let shop = Shop::open().await;
    shop.import("sku,brand,model,price\nA,Vayu,Pilot,1\nB,Vayu,Glider,1\n").await;
    shop.execute(CommandBody::RemoveItem(RemoveItem { sku: Sku::new("A").expect("a SKU"), if_match: None }))
        .await;
    assert_eq!(shop.export().await.lines().count(), 2);
    shop.import("sku,model\nA,Pilot II\n").await;
    let a = shop.state("A").await.expect("A");
    assert_eq!((a.item.status, a.item.model.as_str()), (holdfast_domain::ItemStatus::Archived, "Pilot II"));
}

/// A CSV file of a million rows that is made while it is read.
struct Million {
    rows: u32,
    made: io::Cursor<Vec<u8>>,
}

impl Read for Million {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.made.position() == self.made.get_ref().len() as u64 && self.rows < 1_000_000 {
            let from = self.rows;
            self.rows += 1_000;
            let lines: String =
                (from..self.rows).map(|n| format!("S{n},Vayu,Pilot,1299.00,BLR,5\n")).collect();
            self.made = io::Cursor::new(lines.into_bytes());
        }
        self.made.read(buffer)
    }
}

#[tokio::test]
async fn a_million_rows_stream_through() {
    let shop = Shop::open().await;
    let header = io::Cursor::new("sku,brand,model,price,location,quantity\n");
    let reader = header.chain(Million { rows: 0, made: io::Cursor::default() });
    let dry = Options { dry_run: true, ..options() };
    let progress = shop.import_with(reader, dry, Vec::new()).await.expect("a dry run");
    assert_eq!((progress.rows_read, progress.items_added, progress.rows_failed), (1_000_000, 1_000_000, 0));
}
