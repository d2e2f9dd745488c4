// Work for java and javac: collections, threads, compression and direct buffers outside its own heap.
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import java.util.zip.DeflaterOutputStream;

public class Maps {
    static long work(int seed) throws Exception {
        Map<String, byte[]> map = new TreeMap<>();
        for (int i = 0; i < 20000; i++)
            map.put("key " + (i * 31L * (seed + 1) % 7001), new byte[i % 300]);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (DeflaterOutputStream deflater = new DeflaterOutputStream(out)) {
            for (String key : map.keySet())
                deflater.write(key.getBytes("UTF-8"));
        }
        CRC32 crc = new CRC32();
        crc.update(out.toByteArray());
        ByteBuffer buffer = ByteBuffer.allocateDirect(100000 + seed);
        buffer.putLong(8, crc.getValue());
        return buffer.getLong(8) + map.values().stream().mapToLong(b -> b.length).sum();
    }

    public static void main(String[] arguments) throws Exception {
        var pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> results = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            int seed = i;
            results.add(pool.submit(() -> work(seed)));
        }
        for (var result : results)
            System.out.println(result.get());
        pool.shutdown();
        TreeMap<Integer, Long> rests = IntStream.range(0, 100000).boxed().collect(
            Collectors.groupingBy(i -> i % 13, TreeMap::new, Collectors.counting()));
        System.out.println(rests);
        Process child = new ProcessBuilder("echo", "from a child").start();
        System.out.println(new String(child.getInputStream().readAllBytes()).trim() + " " + child.waitFor());
        System.out.println("done");
    }
}
