-- probe: whether a transaction can write; not on a standby, and not where default_transaction_read_only is on
SELECT current_setting('transaction_read_only') = 'off' AS is_writable;
