"""The words that Kylin 3.1 refuses as a name or an alias unless they are quoted."""

RESERVED = frozenset(
    """
    all alter and any array as asymmetric at authorization avg begin between both by call cardinality case cast
    check collate column commit condition connect constraint corr corresponding count create cross cube current
    current_date current_time current_timestamp current_user cursor cycle date day deallocate dec decimal declare
    default delete dense_rank describe distinct drop dynamic each element else end escape every except exec execute
    exists explain false fetch filter float for foreign from full function grant group grouping having hold hour
    identity import in inner insert int integer intersect interval into is join lag language lateral lead leading
    left like limit local localtime localtimestamp match max member merge method min minute mod module month
    multiset natural new next no none not null numeric of offset old on one only open or order out outer over
    overlay parameter partition percent period position power precision primary procedure range rank real ref
    references release reset result return revoke right rollback rollup row row_number rows savepoint scope scroll
    search second select set show similar smallint some specific sql start stream sum symmetric system table
    tablesample then time timestamp to trigger true truncate union unique unknown update upper upsert user using
    value values varchar varying when where window with within without year
    """.split()  # noqa: SIM905 - a list of words reads as one
)
