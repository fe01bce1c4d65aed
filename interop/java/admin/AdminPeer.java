import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Apache's mqadmin, many commands in one process: what its script would run, with its output taken. The command line is
 * the value of `line`, its words separated by blanks; `accessKey` and `secretKey` sign its requests.
 */
public final class AdminPeer {
    private AdminPeer() {
    }

    public static void main(String[] argv) throws Exception {
        Map<String, Peer.Command> commands = new HashMap<>();
        commands.put("mqadmin", AdminPeer::run);
        new Accesses().register(commands);
        commands.put("ext.status", args -> withExt(args, ext -> status(ext, args)));
        commands.put("ext.clone", args -> withExt(args, ext -> {
            ext.cloneGroupOffset(args.text("group"), args.text("to"), args.text("topic"), true);
            return true;
        }));
        commands.put("ext.forbid", args -> withExt(args, ext -> {
            Boolean readable = args.text("readable", "").isEmpty() ? null : args.flag("readable");
            return ext.updateAndGetGroupReadForbidden(args.text("broker"), args.text("group"), args.text("topic"), readable)
                .getReadable();
        }));
        Peer.serve(commands);
    }

    private interface Call {
        Object with(DefaultMQAdminExt ext) throws Exception;
    }

    /** What the tool's class does and no command of the tool asks for. */
    private static Object withExt(Peer.Args args, Call call) throws Exception {
        DefaultMQAdminExt ext = new DefaultMQAdminExt();
        ext.setInstanceName("ext-" + System.nanoTime());
        ext.setNamesrvAddr(args.text("namesrv"));
        ext.start();
        try {
            return call.with(ext);
        } finally {
            ext.shutdown();
        }
    }

    /** Client id, then queue id, then offset. */
    private static Object status(DefaultMQAdminExt ext, Peer.Args args) throws Exception {
        Map<String, Object> clients = new TreeMap<>();
        for (Map.Entry<String, Map<MessageQueue, Long>> client
            : ext.getConsumeStatus(args.text("topic"), args.text("group"), args.text("client", "")).entrySet()) {
            Map<String, Object> offsets = new TreeMap<>();
            for (Map.Entry<MessageQueue, Long> queue : client.getValue().entrySet()) {
                offsets.put(String.valueOf(queue.getKey().getQueueId()), queue.getValue());
            }
            clients.put(client.getKey(), offsets);
        }
        return clients;
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
            MQAdminStartup.main0(args.text("line").split(" "), Accesses.hook(args));
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
