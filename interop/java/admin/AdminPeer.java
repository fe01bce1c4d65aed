import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Apache's mqadmin, many commands in one process: what its script would run, with its output taken. The command line is
 * the value of `line`, its words separated by blanks.
 */
public final class AdminPeer {
    private AdminPeer() {
    }

    public static void main(String[] argv) throws Exception {
        Map<String, Peer.Command> commands = new HashMap<>();
        commands.put("mqadmin", AdminPeer::run);
        Peer.serve(commands);
    }

    /** One at a time, because the tool writes to the process's standard output. */
    private static synchronized Object run(Peer.Args args) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        ByteArrayOutputStream errors = new ByteArrayOutputStream();
        System.setOut(new PrintStream(written, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
        try {
            MQAdminStartup.main0(args.text("line").split(" "), null);
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        Map<String, Object> answer = new TreeMap<>();
        answer.put("out", written.toString(StandardCharsets.UTF_8));
        answer.put("err", errors.toString(StandardCharsets.UTF_8));
        return answer;
    }
}
