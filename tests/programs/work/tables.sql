-- Work for sqlite3: inserts, indexes, joins, window functions, json, deletes, vacuum.
create table reading (id integer primary key, site integer, level real, note text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
insert into reading select i, i * 7919 % 499, (i * 104729 % 10007) / 10.0, 'note ' || (i * i % 1009) from n;
create index by_site on reading (site, level);
create index by_note on reading (note);
create table site (id integer primary key, name text);
insert into site select distinct site, 'site ' || site from reading;
select count(*), round(sum(level), 2) from reading;
select s.name, count(*), round(avg(r.level), 3), max(r.note) from reading r join site s on s.id = r.site
  group by s.name order by 3 desc, 1 limit 20;
select site, level, rank() over (partition by site order by level desc) as place from reading
  where site < 5 order by site, place, id limit 30;
select json_group_array(note) from (select distinct note from reading order by note limit 50);
select group_concat(note, ';') from (select note from reading where site = 17 order by id);
begin; delete from reading where id % 20 <> 3; select count(*) from reading; rollback;
delete from reading where id % 20 <> 3;
vacuum;
pragma integrity_check;
select count(*), round(sum(level), 2), sum(length(note)) from reading;
