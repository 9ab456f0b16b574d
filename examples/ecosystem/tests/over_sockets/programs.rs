//! The programs of `examples/` run to their end.

macro_rules! programs {
    ($($(#[$path:meta])* $program:ident)*) => {$(
        $(#[$path])*
        pub(crate) mod $program;
    )*

        mod run_to_their_end {
            $(
                #[test]
                fn $program() {
                    super::$program::main().unwrap();
                }
            )*
        }
    };
}

programs! {
    #[path = "../../examples/async_openai.rs"]
    async_openai
    #[path = "../../examples/axum.rs"]
    axum
    #[path = "../../examples/hyper.rs"]
    hyper
    #[path = "../../examples/reqwest.rs"]
    reqwest
    #[path = "../../examples/reqwest_middleware.rs"]
    reqwest_middleware
    #[path = "../../examples/tonic.rs"]
    tonic
}
