import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * A program of RocketMQ's Java that is driven from outside. Each line of standard input is a command, its parts separated by tabs:
 *
 *   id TAB command TAB name=value TAB name=value ...
 *
 * and answered by one line of JSON on standard output that carries the id. Commands run side by side, so a waiting one
 * holds up no other. The end of standard input ends the process.
 */
public final class Peer {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    interface Command {
        Object run(Args args) throws Exception;
    }

    /** The named values of one command. */
    static final class Args {
        private final Map<String, String> values = new HashMap<>();

        String text(String name) {
            String value = values.get(name);
            if (value == null) {
                throw new IllegalArgumentException("missing argument " + name);
            }
            return value;
        }

        String text(String name, String otherwise) {
            return values.getOrDefault(name, otherwise);
        }

        int number(String name, int otherwise) {
            return values.containsKey(name) ? Integer.parseInt(values.get(name)) : otherwise;
        }

        int number(String name) {
            return Integer.parseInt(text(name));
        }

        boolean flag(String name) {
            return "true".equals(values.get(name));
        }
    }

    private Peer() {
    }

    /** Carries out commands until standard input ends, then ends the process. */
    static void serve(Map<String, Command> commands) throws Exception {
        // RocketMQ's own loggers and slf4j may print; the answers must stay the only lines on standard output.
        System.setOut(System.err);
        ExecutorService workers = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String request = line;
            workers.execute(() -> answer(commands, request));
        }
        // Clients that are still running have non-daemon threads.
        Runtime.getRuntime().halt(0);
    }

    private static void answer(Map<String, Command> commands, String request) {
        String[] parts = request.split("\t");
        Map<String, Object> response = new LinkedHashMap<>();
        response.put("id", Integer.parseInt(parts[0]));
        try {
            Command command = commands.get(parts[1]);
            if (command == null) {
                throw new IllegalArgumentException("unknown command " + parts[1]);
            }
            Args args = new Args();
            for (int i = 2; i < parts.length; i++) {
                int equals = parts[i].indexOf('=');
                args.values.put(parts[i].substring(0, equals), parts[i].substring(equals + 1));
            }
            response.put("result", command.run(args));
        } catch (Throwable error) {
            StringBuilder text = new StringBuilder(error.toString());
            for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
                text.append("; because of ").append(cause);
            }
            response.put("error", text.toString());
            error.printStackTrace();
        }
        OUT.println(Json.write(response));
    }
}
