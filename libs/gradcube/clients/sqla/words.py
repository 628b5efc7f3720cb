"""The words that must be quoted as a name or an alias: Kylin's, and those of the grammar that it is made of."""

from gradcube.cube.reserved import RESERVED_WORDS

# Calcite 1.16 reserves these too; nobody names a cube's column so, but people write them as labels.
_CALCITE = (
    "alter any array asymmetric authorization begin both collate commit constraint corr corresponding "
    "current_date current_time current_timestamp current_user deallocate dec decimal declare delete describe drop "
    "dynamic escape exec execute false float foreign grant insert int integer lateral localtime localtimestamp "
    "merge mod multiset no of procedure real revoke rollback rollup row_number set smallint symmetric tablesample "
    "to true truncate update upsert varchar varying within without "
)
RESERVED = frozenset(word.lower() for word in RESERVED_WORDS) | frozenset(_CALCITE.split())
