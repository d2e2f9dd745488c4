-- Tables in memory: inserts, indices, joins, an ordered aggregate, updates, deletes. Prints counts and sums.
-- @ROWS@ is replaced by a number.
create table customer (id integer primary key, name text, city text);
create table sale (id integer primary key, customer integer, item text, price integer, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 8000)
insert into customer select i, 'customer ' || (i * 7919 % 100003), 'city ' || (i * 31 % 97) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < @ROWS@)
insert into sale select i, i * 48271 % 8000 + 1, 'item ' || (i * 69621 % 3001), i * 16807 % 9973,
                        substr('a longer note that makes rows of different lengths for the pages', 1, i % 60) from n;
create index sale_customer on sale (customer);
create index sale_item on sale (item, price);
select count(*), sum(price), sum(length(note)) from sale;
select city, count(*), sum(price), min(item), group_concat(distinct substr(name, 1, 10)) from sale
    join customer on customer.id = sale.customer group by city order by city limit 10;
select item, max(price), count(distinct customer) from sale group by item order by 2 desc, 1 limit 10;
update sale set note = upper(note) || price where id % 5 = 0;
delete from sale where price < 900;
select count(*), sum(length(note)) from sale;
select a.item, b.item, count(*) from sale a join sale b on a.customer = b.customer and a.id < b.id
    where a.customer < 300 group by a.item, b.item order by 3 desc, 1, 2 limit 10;
