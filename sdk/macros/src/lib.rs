//! The derive of `Row`: a struct becomes a row of a table.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Fields, Lit, LitStr, Result, parse_macro_input};

/// Makes a struct with named fields a row of a table: `#[row(table = "…", time = "…")]`, and `mode = "upsert"` with
/// `key = ["…"]`. The comments of the struct and of its fields describe the table and its columns.
#[proc_macro_derive(Row, attributes(row))]
pub fn derive_row(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row(&input).unwrap_or_else(Error::into_compile_error).into()
}

#[derive(Default)]
struct Options {
    table: Option<LitStr>,
    time: Option<LitStr>,
    mode: Option<LitStr>,
    description: Option<LitStr>,
    key: Vec<LitStr>,
}

fn options(input: &DeriveInput) -> Result<Options> {
    let mut options = Options::default();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("row")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("key") {
                let content;
                let value = meta.value()?;
                syn::bracketed!(content in value);
                let keys = content.parse_terminated(<LitStr as syn::parse::Parse>::parse, syn::Token![,])?;
                options.key = keys.into_iter().collect();
                return Ok(());
            }
            let place = match meta.path.get_ident().map(ToString::to_string).as_deref() {
                Some("table") => &mut options.table,
                Some("time") => &mut options.time,
                Some("mode") => &mut options.mode,
                Some("description") => &mut options.description,
                _ => return Err(meta.error("expected `table`, `time`, `mode`, `key` or `description`")),
            };
            *place = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(options)
}

fn row(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(input, "a row is a struct"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(input, "a row has named fields"));
    };
    let options = options(input)?;
    let missing = |what: &str| Error::new_spanned(&input.ident, format!("a row needs `#[row({what} = \"…\")]`"));
    let table = options.table.ok_or_else(|| missing("table"))?;
    let time = options.time.ok_or_else(|| missing("time"))?;
    let description = options.description.map_or_else(|| comment(&input.attrs), |text| text.value());

    let fields: Vec<_> = fields.named.iter().filter_map(|field| Some((field.ident.as_ref()?, field))).collect();
    let names: Vec<String> =
        fields.iter().map(|(name, _)| name.to_string().trim_start_matches("r#").to_owned()).collect();
    for named in options.key.iter().chain([&time]) {
        if !names.contains(&named.value()) {
            return Err(Error::new_spanned(named, format!("no field `{}`", named.value())));
        }
    }
    let mode = match options.mode.as_ref().map(LitStr::value).as_deref() {
        None | Some("append") if options.key.is_empty() => quote!(Append),
        Some("upsert") if !options.key.is_empty() => quote!(Upsert),
        Some("upsert") => return Err(missing("key")),
        None | Some("append") => return Err(Error::new_spanned(&input.ident, "a key needs `mode = \"upsert\"`")),
        Some(_) => return Err(Error::new_spanned(options.mode, "expected \"append\" or \"upsert\"")),
    };

    let (ident, keys) = (&input.ident, &options.key);
    let columns = fields.iter().zip(&names).map(|((_, field), name)| {
        let (kind, about) = (&field.ty, comment(&field.attrs));
        quote!((#name, <#kind as ::weir_sdk::Cell>::TYPE, #about))
    });
    let appends =
        fields.iter().enumerate().map(|(index, (name, _))| quote!(::weir_sdk::append(&self.#name, columns, #index);));
    let digests = fields.iter().map(|(name, _)| quote!(::weir_sdk::Cell::digest(&self.#name, &mut digest);));
    Ok(quote! {
        impl ::weir_sdk::Row for #ident {
            #[inline(never)]
            fn table() -> ::weir_sdk::Table {
                ::weir_sdk::Table {
                    name: #table,
                    description: #description,
                    columns: vec![#(#columns),*],
                    mode: ::weir_sdk::Mode::#mode,
                    key: &[#(#keys),*],
                    time: #time,
                }
            }

            fn append(&self, columns: &mut [::weir_sdk::ColumnBuilder]) {
                #(#appends)*
            }

            fn digest(&self) -> u64 {
                let mut digest = ::weir_sdk::Digest::default();
                #(#digests)*
                digest.finish()
            }
        }
    })
}

/// The text of a doc comment, its lines joined.
fn comment(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let meta = attribute.meta.require_name_value().ok().filter(|meta| meta.path.is_ident("doc"))?;
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value else { return None };
        Some(text.value().trim().to_owned())
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
