"""Real programs to profile: Python and Java, each with a function that computes and one that waits for a lock."""

PYTHON = """
import hashlib, random, sys, threading, time
lock = threading.Lock()
def spin():
    end = time.perf_counter() + random.uniform(0.002, 0.01)
    while time.perf_counter() < end:
        hashlib.blake2b(b"x").digest()
def critical():
    time.sleep(0.02)
def reserve():
    with lock:
        critical()
def serve():
    while True:
        spin()
        reserve()
def watch():
    sys.stdin.read()  # ends with the test, whatever happens
for function in (serve, serve, serve):
    threading.Thread(target=function, daemon=True).start()
print("ready", flush=True)
watch()
"""

JAVA = """
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.ReentrantLock;
public class Shop {
    static final ReentrantLock lock = new ReentrantLock();
    static volatile long sink;
    static void spin() {
        long x = sink;
        for (int i = 0; i < 5_000_000; i++) x = x * 6364136223846793005L + 1442695040888963407L;
        sink = x;
    }
    static void critical() throws Exception { Thread.sleep(20); }
    static void reserve() throws Exception { lock.lock(); try { critical(); } finally { lock.unlock(); } }
    public static void main(String[] a) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.createContext("/", x -> {
            try { spin(); reserve(); } catch (Exception e) { throw new RuntimeException(e); }
            x.sendResponseHeaders(204, -1);
            x.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
        System.out.println(server.getAddress().getPort());
        System.out.flush();
        System.in.read();  // ends with the test, whatever happens
        System.exit(0);
    }
}
"""
