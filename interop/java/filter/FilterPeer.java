import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;

/**
 * RocketMQ's own SQL92 filter, a selector a line: its text in base64, then a message for each further tab-separated field,
 * `name:value` in base64, joined by commas. Answers `refused`, or a letter a message: t delivered, f not.
 */
public final class FilterPeer {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(line.split("\t", -1)));
        }
        out.flush();
    }

    private static String answer(String[] fields) {
        Expression selector;
        try {
            selector = FilterFactory.INSTANCE.get("SQL92").compile(text(fields[0]));
        } catch (MQFilterException refused) {
            return "refused";
        }
        StringBuilder letters = new StringBuilder();
        for (int i = 1; i < fields.length; i++) letters.append(isDelivered(selector, fields[i]) ? 't' : 'f');
        return letters.toString();
    }

    /** What the broker makes of a value that is no Boolean, and of an exception. */
    private static boolean isDelivered(Expression selector, String message) {
        Map<String, String> properties = new HashMap<>();
        if (!message.isEmpty()) {
            for (String property : message.split(",")) {
                int colon = property.indexOf(':');
                properties.put(text(property.substring(0, colon)), text(property.substring(colon + 1)));
            }
        }
        try {
            return Boolean.TRUE.equals(selector.evaluate(new MessageEvaluationContext(properties)));
        } catch (Throwable thrown) {
            return false;
        }
    }

    private static String text(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }

    private FilterPeer() {
    }
}
