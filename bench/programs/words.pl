# Hashes, strings, arrays of arrays and regular expressions. Prints sums.
# The argument multiplies the work.
use strict;
use warnings;

my ($scale) = @ARGV;
my $seed = 4242;
sub any { my ($limit) = @_; $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $limit; }

my @lines;
for my $number (1 .. int(40000 * $scale + 0.5)) {
    push @lines, join(' ', map { 'key' . any(3000) . '=' . ('v' x any(30)) . any(100) } 1 .. 1 + any(6));
}
my (%count, %values);
for my $line (@lines) {
    while ($line =~ /(key\d+)=(v*)(\d+)/g) {
        $count{$1}++;
        push @{$values{$1}}, [length $2, $3];
    }
}
my $total = 0;
for my $key (sort keys %values) {
    my @sorted = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @{$values{$key}};
    $total += $_->[0] * $_->[1] for @sorted;
}
print scalar(keys %count), " $total $count{key7}\n";

my $text = join "\n", @lines;
my $changed = ($text =~ s/key(\d)(\d*)/$2-$1/g);
print length($text), " $changed\n";
my %reversed;
$reversed{scalar reverse $_}{length $_}++ for split /[ \n]/, $text;
print scalar(keys %reversed), "\n";
